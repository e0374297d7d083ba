# SPDX-License-Identifier: MIT
"""The mutants without a defect, and why the sources have the stronger order all the same."""

KEPT = {
}
