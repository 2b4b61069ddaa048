"""Images on disk become checked rows: what a data set is, which of its images are usable, who belongs to which split."""
