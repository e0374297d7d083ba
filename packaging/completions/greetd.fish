# SPDX-License-Identifier: MIT
#
# Completion of greetd's command line, for fish.

complete -c greetd -f
complete -c greetd -s c -l config -r -F -d 'Read this configuration file'
complete -c greetd -s l -l listen -r -F -a '127.0.0.1: [::1]: 0.0.0.0: [::]: vsock:' -d 'Listen here instead of ListenStream='
complete -c greetd -s m -l message -x -d 'Greet with this text instead of Message='
complete -c greetd -l check -d 'Report every mistake in the configuration'
complete -c greetd -l show-config -d 'Print the settings in force and where each came from'
complete -c greetd -s h -l help -d 'Show a short help'
complete -c greetd -l version -d 'Show the version'
