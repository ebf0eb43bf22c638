# SPDX-License-Identifier: LGPL-2.1-or-later
# reckonctl: completion for fish.

set -l commands status explain history rules check reload

complete -c reckonctl -f
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a status -d 'Show memory, the next victim and the last kill'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a explain -d 'Show the next victim, or why a process would or would not be killed'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a history -d 'Show past kills and the memory reclaimed'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a rules -d 'Show the policies and the rules'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a check -d 'Check the configuration for errors'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands" -a reload -d 'Make reckond reload its configuration'
complete -c reckonctl -n '__fish_seen_subcommand_from explain' -a '(__fish_complete_pids)'
complete -c reckonctl -n '__fish_seen_subcommand_from check' -F
complete -c reckonctl -l json -d 'Print one JSON object'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from history" -l full -d 'history: show everything known about each decision'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from explain rules check" -l config -r -F -d 'Read this configuration file'
complete -c reckonctl -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from explain" -l subtree -x -d 'Evaluate as if only processes in this cgroup were eligible'
complete -c reckonctl -s V -l version -d 'Print the version and exit'
complete -c reckonctl -s h -l help -d 'Print a summary and exit'
