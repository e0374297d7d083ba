# SPDX-License-Identifier: MIT
"""The descriptor store of systemd, FileDescriptorStoreMax= in systemd.service(5)."""

import os
import socket


class FdStore:
    """The sockets that the processes of one service store with FDSTORE=1 of sd_notify(3), the newest
    first, as systemd passes them. Descriptors beyond MAXIMUM are closed."""

    def __init__(self, maximum):
        self._maximum = maximum
        self._kept = []  # of name and descriptor

    def names(self):
        return [name for name, _ in self._kept]

    def addresses(self):
        """The addresses on which the sockets listen."""
        return [address_of(descriptor) for descriptor in self.descriptors()]

    def descriptors(self):
        return [descriptor for _, descriptor in self._kept]

    def handle(self, message, descriptors):
        """Stores the DESCRIPTORS of a notify MESSAGE, or removes those that it names."""
        for descriptor in descriptors:
            if "FDSTORE" in message and len(self._kept) < self._maximum:
                # A received descriptor is inheritable: every later process would have it.
                os.set_inheritable(descriptor, False)
                self._kept.insert(0, (message["FDNAME"], descriptor))
            else:
                os.close(descriptor)
        if "FDSTOREREMOVE" in message:
            self._close_if(lambda name: name == message["FDNAME"])

    def close(self):
        self._close_if(lambda name: True)

    def _close_if(self, condition):
        for name, descriptor in self._kept:
            if condition(name):
                os.close(descriptor)
        self._kept = [kept for kept in self._kept if not condition(kept[0])]


def address_of(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        return listener.getsockname()
