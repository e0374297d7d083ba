# SPDX-License-Identifier: MIT
# Run by report.py where bench.dat is: title, median, least, most, percent lost. `subject` is given.
set terminal svg size 900,620 font "sans-serif,13" background "white"
set output "bench.svg"
set encoding utf8
set style fill solid 0.85 noborder
set boxwidth 0.6
set border 3
set tics nomirror out
set grid ytics linecolor "#dddddd"
set xrange [-0.6:*]
set offsets 0, 0.6, 0, 0
unset key
colour(title) = title[1:6] eq "greetd" ? 0x2b6cb0 : 0xa0aec0

set multiplot layout 2,1 title "What a greeting costs\n{/*0.8 ".subject."}" \
    margins 0.1,0.98,0.1,0.87 spacing 0,0.17

set ylabel "processor time / floor"
set yrange [0:*]
set format x ""
plot "bench.dat" using 0:2:(colour(strcol(1))):xtic(1) with boxes linecolor rgb variable, \
     "" using 0:3:(0):($4-$3) with vectors heads size 0.05,90 linecolor "#1a202c" linewidth 1.5, \
     "" using 0:4:(sprintf("%.2f", $2)) with labels offset 0,0.8

set ylabel "% lost if clients\nspeak first"
set yrange [0:*]
plot "bench.dat" using 0:5:(colour(strcol(1))):xtic(1) with boxes linecolor rgb variable, \
     "" using 0:5:($5 == 0 ? "none" : sprintf("%.1f %%", $5)) with labels offset 0,0.8
unset multiplot
