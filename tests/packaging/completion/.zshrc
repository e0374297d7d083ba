# SPDX-License-Identifier: MIT
#
# Makes zsh write what it offers for $LINE to the file $MATCHES, one in each line, and exit. It is read
# with ZDOTDIR as this folder; FOLDER has the completions.

fpath=($FOLDER $fpath)
autoload -U compinit && compinit -D -u
LISTMAX=10000

compadd() {
    local -a given=(${@[1,(i)--]}) matches
    # With these it only filters, for the functions that call it again.
    if (( ${given[(I)-[OAD]]} )); then
        builtin compadd "$@"
        return
    fi
    builtin compadd -A matches "$@"
    (( $#matches )) && print -rl -- $matches >> $MATCHES
    builtin compadd "$@"
}

finish() {
    print END >> $MATCHES
    exit
}

# Presses the keys.
zle-line-init() {
    zle -U $LINE$'\t\x18'
}

zle -N finish
zle -N zle-line-init
bindkey '^X' finish
bindkey '^I' complete-word
