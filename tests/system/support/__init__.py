# SPDX-License-Identifier: MIT
"""Fixtures of the system tests: a machine with the package installed, and clients for it."""
