"""Measures: predictions or features in, numbers out; no files, no images, no device."""
