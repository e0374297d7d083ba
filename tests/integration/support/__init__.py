# SPDX-License-Identifier: MIT
"""Fixtures of the integration tests: greetd as a process, its clients, and what surrounds it."""
