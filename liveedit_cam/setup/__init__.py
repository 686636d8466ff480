"""What a computer needs before the camera works: looked at, mended, and started by itself."""
