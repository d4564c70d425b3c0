"""A lock on an open file that ends with its process, however that ends."""

import sys

if sys.platform == "win32":
    import msvcrt
    import os

    def locked(handle: int) -> bool:
        """Take the lock; ``False`` if somebody has it."""
        # The last byte that a file can have: what is locked there can't be read by others.
        place = os.lseek(handle, 0, os.SEEK_CUR)
        try:
            os.lseek(handle, 2**31 - 2, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, place, os.SEEK_SET)
        return True

else:
    import fcntl

    def locked(handle: int) -> bool:
        """Take the lock; ``False`` if somebody has it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
