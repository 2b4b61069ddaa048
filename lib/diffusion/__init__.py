"""Generators that learn from few pictures: base models, tokens, adapters, sampling to a quota."""
