# SPDX-License-Identifier: MIT
#
# Completion of greet's command line, for fish.

# Prints what the expression finds in the configuration: that of --expect-config=PATH, or of greetd.
function __greet_configuration -a expression
    set -l options (string replace -rf -- '^--expect-config=(.+)' '--config=$1' (commandline -opc))
    set -lx PATH $PATH /usr/local/sbin /usr/sbin
    greetd --show-config $options 2>/dev/null | string replace -rf -- $expression '$1'
end

complete -c greet -f
complete -c greet -F -a "(__greet_configuration '^ListenStream=(.+)')"
complete -c greet -s e -l expect -x -d 'Expect this greeting'
complete -c greet -l expect-file -r -F -d 'Expect the content of a file'
complete -c greet -l expect-config -d 'Expect the greeting of the configuration'
complete -c greet -l listener -x -a "server (__greet_configuration '^\[Listener (.*)\]\$')" -d 'Expect the greeting of this socket'
complete -c greet -s t -l timeout -x -d 'Limit the time for each address'
complete -c greet -s s -l send -x -d 'Send this text; with --load, so many bytes'
complete -c greet -l proxy -x -a 'local unix v1:local v1:unix' -d 'First send a PROXY header for this client'
complete -c greet -s q -l quiet -d 'Do not print the greeting'
complete -c greet -l explain -d 'Print each step as it happens'
complete -c greet -l load -d 'Make many connections and check each'
complete -c greet -s n -l connections -x -d 'Make so many connections'
complete -c greet -s c -l concurrent -x -d 'Make so many connections at the same time'
complete -c greet -l rate -x -d 'Start so many connections per second'
complete -c greet -l hold -x -d 'Hold each connection open for so long'
complete -c greet -l json -d 'Print one JSON object instead of text'
complete -c greet -l pid -x -a '(__fish_complete_pids)' -d 'Print the processor time of this server'
complete -c greet -l receipts -r -F -d 'Write what each client saw to a file'
complete -c greet -l reconcile -r -F -d 'Compare a file of receipts with the journal'
complete -c greet -s h -l help -d 'Show a short help'
complete -c greet -l version -d 'Show the version'
