"""What makes a rule act: one file per kind of ``when``, found by ``liveedit_cam.registry``."""
