# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of greet's command line, for bash-completion.

# Prints what the sed(1) expression $1 finds in the configuration: that of --expect-config=PATH, or of greetd.
_greet_configuration() {
    local word options=()
    for word in "${words[@]}"; do
        [[ $word == --expect-config=?* ]] && word=${word#*=} && options=(--config "${word//[\\\"\']/}")
    done
    PATH=$PATH:/usr/local/sbin:/usr/sbin greetd --show-config "${options[@]}" 2>/dev/null | sed -n "$1"
}

# Offers the lines that begin with the current word, as the shell needs them. `compgen -W` would expand
# them, and run a command in the name of a listener.
_greet_offer() {
    local line quoted
    while IFS= read -r line; do
        quoted=$line
        [[ $line != *[!][[:alnum:]/.:@%_-]* ]] || printf -v quoted %q "$line"
        [[ $line != "$cur"* && $quoted != "$cur"* ]] || COMPREPLY+=("$quoted")
    done
}

_greet_addresses() {
    if [[ $cur == [/.]* ]]; then
        _filedir
    else
        _greet_offer < <(_greet_configuration 's/^ListenStream=//p')
        __ltrim_colon_completions "$cur"
    fi
}

_greet() {
    # shellcheck disable=SC2034 # _init_completion sets them
    local cur prev words cword split
    _init_completion -s -n : || return
    case $prev in
        --expect-file | --receipts | --reconcile)
            _filedir
            return
            ;;
        --listener)
            _greet_offer < <(echo server; _greet_configuration 's/^\[Listener \(.*\)\]$/\1/p')
            return
            ;;
        --pid)
            _pids
            return
            ;;
        --proxy)
            mapfile -t COMPREPLY < <(compgen -W 'local unix v1:local v1:unix' -- "$cur")
            __ltrim_colon_completions "$cur"
            return
            ;;
        -[etsnc] | --expect | --timeout | --send | --connections | --concurrent | --rate | --hold) return ;;
    esac
    if $split; then
        [[ $prev == --expect-config ]] && _filedir
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-e --expect= --expect-file= --expect-config --listener=
            -t --timeout= -s --send= --proxy= -q --quiet --explain --load -n --connections= -c --concurrent=
            --rate= --hold= --json --pid= --receipts= --reconcile= -h --help --version' -- "$cur")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
    else
        _greet_addresses
    fi
}

complete -F _greet greet
