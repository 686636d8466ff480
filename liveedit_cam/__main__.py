"""``python -m liveedit_cam`` is the command ``liveedit-cam``."""

from liveedit_cam.cli import main

if __name__ == "__main__":
    main()
