"""People look at generated images, mixed blind with real ones: the page they rate on, and what their ratings say."""
