"""``python -m openclaw`` is the command ``openclaw``."""

from openclaw.cli import main

if __name__ == "__main__":
    main()
