"""What every trainer shares: randomness derived from (seed, purpose, step), atomic checkpoints, a reproducible machine."""
