# fish completion for rebootmgrctl(1)

function __rebootmgrctl_words --description 'ROOT and VERB as they were typed so far'
    set -l words (commandline -opc)
    set -e words[1]
    set -l root /
    set -l is_root no
    for word in $words
        if test $is_root = yes
            set is_root no
            set root $word
            continue
        end
        switch $word
            case --root
                set is_root yes
            case '--root=*'
                set root (string replace -- --root= '' $word)
            case '-*'
            case '*'
                printf '%s\n' $root $word
                return
        end
    end
    printf '%s\n' $root ''
end

function __rebootmgrctl_at --description 'Whether this verb was typed; without one, whether none was'
    set -l words (__rebootmgrctl_words)
    test "$words[2]" = "$argv"
end

function __rebootmgrctl_ask --argument-names verb member --description 'Values that the daemon knows'
    set -l words (__rebootmgrctl_words)
    timeout 2 rebootmgrctl --root $words[1] --json $verb 2>/dev/null </dev/null |
        sed -n "s|^ *\"$member\": \"\([A-Za-z0-9._:+/-]\{1,\}\)\",\{0,1\}\$|\1|p"
end

set -l spans '30min 1h 2h 8h 1d 3d 1week'

complete -c rebootmgrctl -f
complete -c rebootmgrctl -l json -d 'print JSON, times in UTC'
complete -c rebootmgrctl -s h -l help -d 'print a short help'
complete -c rebootmgrctl -n __rebootmgrctl_at -l version -d 'print the version'
complete -c rebootmgrctl -n __rebootmgrctl_at -l root -x -a '(__fish_complete_directories)' \
    -d 'take every path under a directory'

complete -c rebootmgrctl -n __rebootmgrctl_at -a status \
    -d 'what runs, what waits, what is in the way and when it goes on'
complete -c rebootmgrctl -n __rebootmgrctl_at -a why \
    -d 'each closed gate: by whom, since and until when, and what to do'
complete -c rebootmgrctl -n __rebootmgrctl_at -a metrics -d 'what Prometheus would scrape'
complete -c rebootmgrctl -n __rebootmgrctl_at -a explain \
    -d 'what a gate, a state, a key or a metric means, and what to do'
complete -c rebootmgrctl -n __rebootmgrctl_at -a wait \
    -d 'return when nothing is pending or the reboot is called, or a slot is back'
complete -c rebootmgrctl -n __rebootmgrctl_at -a is-active \
    -d 'whether `reboot` would be taken, as an exit status'
complete -c rebootmgrctl -n __rebootmgrctl_at -a hold \
    -d 'keep this host from rebooting, with a reason and an end'
complete -c rebootmgrctl -n __rebootmgrctl_at -a holds \
    -d 'who holds this host, since when, until when and why'
complete -c rebootmgrctl -n __rebootmgrctl_at -a release -d 'lift a hold'
complete -c rebootmgrctl -n __rebootmgrctl_at -a reboot \
    -d 'ask for the reboot into the pending update'
complete -c rebootmgrctl -n __rebootmgrctl_at -a cancel \
    -d 'call the attempt off, and hold for an hour'
complete -c rebootmgrctl -n __rebootmgrctl_at -a forgive \
    -d 'lift the quarantine of updates that failed here, and free a kept slot'
complete -c rebootmgrctl -n __rebootmgrctl_at -a history \
    -d 'the last reboots: when, into what, how it ended, how long it took'
complete -c rebootmgrctl -n __rebootmgrctl_at -a reload \
    -d 'take the new configuration, or keep the old one and say what is wrong'
complete -c rebootmgrctl -n __rebootmgrctl_at -a plan \
    -d 'every interval in which the policy would allow a reboot'
complete -c rebootmgrctl -n __rebootmgrctl_at -a check-config \
    -d 'validate the drop-ins, or those of a folder'
complete -c rebootmgrctl -n __rebootmgrctl_at -a cat-config \
    -d 'the effective configuration, each value with the file it came from'
complete -c rebootmgrctl -n __rebootmgrctl_at -a config \
    -d 'a drop-in to start from, or the JSON Schema of drop-ins'
complete -c rebootmgrctl -n __rebootmgrctl_at -a id \
    -d 'who this host is to a lock server: id, group, server, labels'
complete -c rebootmgrctl -n __rebootmgrctl_at -a fleet-lock \
    -d 'take or return a slot of the lock server, for scripts and for dead hosts'
complete -c rebootmgrctl -n __rebootmgrctl_at -a fleet \
    -d 'look at a lock server, and steer that of this host'
complete -c rebootmgrctl -n __rebootmgrctl_at -a simulate \
    -d 'how the roll-out of an update to a whole fleet would go'
complete -c rebootmgrctl -n __rebootmgrctl_at -a help -d 'print a short help, also that of a verb'
complete -c rebootmgrctl -n __rebootmgrctl_at -a version -d 'print the version'

complete -c rebootmgrctl -n '__rebootmgrctl_at status' -l watch -d 'show it again whenever it changes'
complete -c rebootmgrctl -n '__rebootmgrctl_at status' -l quiet -d 'say it by the exit status alone'
complete -c rebootmgrctl -n '__rebootmgrctl_at why' -l all -d 'name every gate'
complete -c rebootmgrctl -n '__rebootmgrctl_at why' -l watch -d 'show it again whenever it changes'
complete -c rebootmgrctl -n '__rebootmgrctl_at wait' -l until -x -a 'verdict rebooting released' \
    -d 'what for'
complete -c rebootmgrctl -n '__rebootmgrctl_at wait' -l timeout -x -a "$spans" \
    -d 'give up after so long'
complete -c rebootmgrctl -n '__rebootmgrctl_at is-active' -l quiet \
    -d 'say it by the exit status alone'
complete -c rebootmgrctl -n '__rebootmgrctl_at history' -s n -x -d 'the last so many'
complete -c rebootmgrctl -n '__rebootmgrctl_at help' -a 'status why metrics explain wait is-active hold \
    holds release reboot cancel forgive history reload plan check-config cat-config fleet-lock \
    fleet simulate version'

complete -c rebootmgrctl -n '__rebootmgrctl_at hold' -l reason -x -d 'why, for other people'
complete -c rebootmgrctl -n '__rebootmgrctl_at hold' -l until -x -d 'its end'
complete -c rebootmgrctl -n '__rebootmgrctl_at hold' -l for -x -a "$spans" -d 'how long'
complete -c rebootmgrctl -n '__rebootmgrctl_at hold' -l forever -d 'until it is released'
complete -c rebootmgrctl -n '__rebootmgrctl_at hold' -l quiet -d 'print the id alone'

complete -c rebootmgrctl -n '__rebootmgrctl_at release' -a '(__rebootmgrctl_ask holds id)' -d hold

complete -c rebootmgrctl -n '__rebootmgrctl_at reboot' -l now \
    -d "skip windows, splay, fit, the clock and the sessions' grace"
complete -c rebootmgrctl -n '__rebootmgrctl_at reboot' -l for -x -a "$spans" \
    -d 'how long to want it'

complete -c rebootmgrctl -n '__rebootmgrctl_at cancel' -l for -x -a "$spans" -d 'how long to hold'
complete -c rebootmgrctl -n '__rebootmgrctl_at cancel' -l no-hold -d 'withdraw a request, no more'

complete -c rebootmgrctl -n '__rebootmgrctl_at forgive' -a '(__rebootmgrctl_ask status key)' \
    -d update

complete -c rebootmgrctl -n '__rebootmgrctl_at plan' -l from -x -d 'begin of the range'
complete -c rebootmgrctl -n '__rebootmgrctl_at plan' -l to -x -d 'its end'
complete -c rebootmgrctl -n '__rebootmgrctl_at plan' -l config -x -a '(__fish_complete_directories)' \
    -d 'take the drop-ins there'

complete -c rebootmgrctl -n '__rebootmgrctl_at check-config' -F
complete -c rebootmgrctl -n '__rebootmgrctl_at check-config' -l strict \
    -d 'a warning counts as an error'

complete -c rebootmgrctl -n '__rebootmgrctl_at config' -a 'init schema'
complete -c rebootmgrctl -n '__rebootmgrctl_at config' -l template -x \
    -a 'every-key fleet laptop manual server weekend' -d 'what to start from'
complete -c rebootmgrctl -n '__rebootmgrctl_at config' -s o -r -F -d 'write it there'

complete -c rebootmgrctl -n '__rebootmgrctl_at fleet-lock' -a 'lock unlock drop-debt'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet-lock' -l id -x -d 'the id of another host'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet-lock' -l group -x -d 'the group'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet-lock' -l base-url -x -d 'the server'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet-lock' -l owed \
    -d 'all that a removed daemon left behind'

complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' \
    -a 'status holders waiting history release slots freeze thaw resume backup reload'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -s n -x -d 'of history: the last so many'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l group -x -d 'where a host holds several'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l reason -x -d 'why, for hosts and people'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l forgive -x \
    -d 'take the slot of this host back, too'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l url -x -d 'to look: at the server there'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l authorization-file -r -F \
    -d 'of --url: the value of the header'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l plain-http \
    -d 'of --url: show credentials to all on the way'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l until -x -d 'its end'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l for -x -a "$spans" -d 'how long'
complete -c rebootmgrctl -n '__rebootmgrctl_at fleet' -l forever -d 'until it is undone'

complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l hosts -x -d 'how many hosts'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l slots -x \
    -d 'how many of a group may reboot at the same time'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l groups -x -d 'how many groups'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l reboot -x -d 'what a reboot takes'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l spread -x \
    -d 'each takes so much more or less'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l failures -x \
    -d 'hosts whose update fails'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l finish-by -x \
    -d 'find how many slots it takes'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l server -x -a 'plain lockd' \
    -d 'which lock server'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l lockd-config -x -a '(__fish_complete_directories)' \
    -d 'it lends by the drop-ins there'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l deaths -x \
    -d 'hosts that never come back'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l zincati -x \
    -d 'hosts that ask every five minutes'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l canaries -x -d 'hosts that go first'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l soak -x -a "$spans" \
    -d 'how long the others wait after them'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l staging -x \
    -d 'updates are staged over this long'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l server-rate -x \
    -d 'requests a second that the lock server manages'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l answer -x \
    -d 'how long an answer of it takes'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l from -x -d 'begin'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l for -x -a "$spans" -d 'how long to look'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l seed -x \
    -d 'another fleet of the same kind'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l outage -x \
    -d 'nobody reaches the lock server'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l time-zone -x \
    -d 'of windows and blackouts'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l config -x -a '(__fish_complete_directories)' \
    -d 'take the drop-ins there'
complete -c rebootmgrctl -n '__rebootmgrctl_at simulate' -l plot -r -F -d 'draw it, as SVG'
