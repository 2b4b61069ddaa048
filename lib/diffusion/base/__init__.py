"""The small base models of the phantom world, trained by this repository on drawn pictures: phantom-sd, phantom-siglip and their judge."""
