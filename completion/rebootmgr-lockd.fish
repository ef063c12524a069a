# fish completion for rebootmgr-lockd(8)

set -l verbs check-config import
set -l none "not __fish_seen_subcommand_from $verbs"

complete -c rebootmgr-lockd -f
complete -c rebootmgr-lockd -s h -l help -d 'print a short help'
complete -c rebootmgr-lockd -n $none -l root -x -a '(__fish_complete_directories)' \
    -d 'take every path under a directory'
complete -c rebootmgr-lockd -n $none -l log-level -x -a 'debug info warning error' \
    -d 'how much it says'
complete -c rebootmgr-lockd -n $none -l version -d 'print the version'
complete -c rebootmgr-lockd -n $none -a check-config \
    -d 'validate the configuration, and the files that it names'
complete -c rebootmgr-lockd -n $none -a import \
    -d 'take over what another lock server has lent'

complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from check-config' -l strict \
    -d 'a warning counts as an error'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from check-config' -l json -d 'print JSON'

complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -a airlock -d 'whose store it is'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l endpoints -x \
    -d 'the members of its etcd'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l airlock-url -x \
    -d 'where it was, which is stopped'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l ca-file -r -F \
    -d 'the CA of etcd, in PEM'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l client-cert-file -r -F \
    -d 'a certificate to show to etcd'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l client-key-file -r -F \
    -d 'its key'
complete -c rebootmgr-lockd -n '__fish_seen_subcommand_from import' -l credentials-file -r -F \
    -d 'user:password of a user of etcd'
