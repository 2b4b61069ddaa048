"""One small module per data set: its own table becomes the project's columns; paths only, no image is opened."""
