"""The other end of ``--editor remote:``: one model for many cameras. No camera needs it."""
