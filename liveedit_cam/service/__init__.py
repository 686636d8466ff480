"""The other end of ``--editor remote:``: one model for many cameras. Nothing of a camera needs it."""
