"""WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028): a generator that learns from a few hundred images and no pretrained weights."""
