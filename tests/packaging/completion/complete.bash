# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Prints what bash-completion offers for the command line $LINE. WORD are its words as bash divides it;
# the last is completed.
#
#     bash complete.bash WORD...

# shellcheck disable=SC1091 # of another package
. /usr/share/bash-completion/bash_completion
_completion_loader "$1"
function=$(complete -p -- "$1")
function=${function#*-F }
compopt() { :; } # the builtin fails outside of a completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE=$LINE
COMP_POINT=${#COMP_LINE}
COMP_TYPE=9
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:' # bash sets it on a terminal only
COMP_KEY=9
COMPREPLY=()
"${function%% *}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[ "${#COMPREPLY[@]}" -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
