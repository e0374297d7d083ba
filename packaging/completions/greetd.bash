# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of greetd's command line, for bash-completion.

_greetd() {
    # shellcheck disable=SC2034 # _init_completion sets them
    local cur prev words cword split
    _init_completion -s -n : || return
    case $prev in
        -c | --config)
            _filedir
            return
            ;;
        -l | --listen)
            if [[ $cur == [/.]* ]]; then
                _filedir
            else
                mapfile -t COMPREPLY < <(compgen -W '127.0.0.1: [::1]: 0.0.0.0: [::]: vsock:' -- "$cur")
                compopt -o nospace
                __ltrim_colon_completions "$cur"
            fi
            return
            ;;
        -m | --message) return ;;
    esac
    $split && return
    mapfile -t COMPREPLY < <(compgen -W '-c --config= -l --listen= -m --message= --check --show-config
        -h --help --version' -- "$cur")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
}

complete -F _greetd greetd
