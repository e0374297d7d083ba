# SPDX-License-Identifier: MIT
"""systemd's side of the file descriptor store, FileDescriptorStoreMax= in systemd.service(5)."""

import os
import socket


class FdStore:
    """What one service's processes have given into keeping, with FDSTORE=1 of sd_notify(3); up to
    MAXIMUM descriptors, and what is more is closed."""

    def __init__(self, maximum):
        self._maximum = maximum
        self._kept = []  # of name and descriptor

    def names(self):
        return [name for name, _ in self._kept]

    def addresses(self):
        """Where the sockets listen."""
        return [address_of(descriptor) for descriptor in self.descriptors()]

    def descriptors(self):
        return [descriptor for _, descriptor in self._kept]

    def take(self, message, descriptors):
        """Does what a notify MESSAGE asks for, with the DESCRIPTORS that came with it."""
        for descriptor in descriptors:
            if "FDSTORE" in message and len(self._kept) < self._maximum:
                # As received it would be open in every process that is started from now on.
                os.set_inheritable(descriptor, False)
                self._kept.append((message["FDNAME"], descriptor))
            else:
                os.close(descriptor)
        if "FDSTOREREMOVE" in message:
            self._let_go(lambda name: name == message["FDNAME"])

    def close(self):
        self._let_go(lambda name: True)

    def _let_go(self, condition):
        for name, descriptor in self._kept:
            if condition(name):
                os.close(descriptor)
        self._kept = [kept for kept in self._kept if not condition(kept[0])]


def address_of(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        return listener.getsockname()
