"""One check per file: META says what it measures, `score` gives one number per image, `applies` (where there is one) to which images,
and `lacks` (where there is one) why there is no training image to compare with: such an image is not judged, rather than rejected.

A score is NaN where it cannot be measured. `score` is asked of generated images and of held-out real ones alike; what it compares with
are training images, so held-out ones show what an image gets that is as good as real.
"""
