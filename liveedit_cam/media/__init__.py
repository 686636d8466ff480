"""Media files through PyAV: pictures and sound as a file means them, H.264 as players expect it."""
