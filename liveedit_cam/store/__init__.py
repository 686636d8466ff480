"""Models on disk that are not shipped: what belongs to one, fetching it, checking it, removing it.

Knows file names, sizes and checksums; knows no network but through ``hub``, and no screen.
"""
