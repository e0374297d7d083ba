/* SPDX-License-Identifier: MIT */
#pragma once

/* A latency histogram as bars of text, for a terminal. Pure but for the printing; the stream and
 * the histogram are borrowed. */

#include <stdbool.h>
#include <stdio.h>

#include "client/measure.h"

/* Prints a row with a bar for each range of HISTOGRAM, which counts microseconds, from the first to
 * the last that is not empty. A row begins with the shortest latency of its range and ends with its
 * count. The ranges are logarithmic: six, three or one for each power of ten, so that all fit on a
 * screen. COLUMNS is the width of the terminal. UTF8: bars of block characters, to an eighth of a
 * column; otherwise of `#`. */
void chart_print(FILE *stream, const struct histogram *histogram, unsigned columns, bool utf8);
