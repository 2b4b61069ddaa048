"""Drawn photographs of skin lesions: an embedded world with known truth (optics → signs → camera → files)."""
