"""One small module per data set: where it is published, its licence, how its columns are called, what its release holds."""
