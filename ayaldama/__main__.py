"""``python -m ayaldama`` is the command ``ayaldama``."""

from ayaldama.cli import main

if __name__ == "__main__":
    main()
