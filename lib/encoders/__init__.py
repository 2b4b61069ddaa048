"""What a trained model (or plain arithmetic) sees in a picture: vectors, features for distances between sets, feature maps."""
