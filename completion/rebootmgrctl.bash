# bash completion for rebootmgrctl(1)

_rebootmgrctl_ask() { # VERB MEMBER ROOT: values that the daemon knows; none if it does not answer
    timeout 2 rebootmgrctl --root "${3:-/}" --json "$1" 2>/dev/null </dev/null |
        sed -n "s|^ *\"$2\": \"\([A-Za-z0-9._:+/-]\{1,\}\)\",\{0,1\}\$|\1|p"
}

_rebootmgrctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local verb='' root='' operation='' more='' known='' ask='' whole word i
    local IFS=$' \t\n'

    if [[ $cur == = ]]; then # readline makes three words of --for=1h
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --root)
                [[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
                root=${COMP_WORDS[++i]}
                ;;
            -*) ;;
            *)
                if [[ $verb == fleet || $verb == fleet-lock ]]; then
                    operation=${operation:-${COMP_WORDS[i]}}
                fi
                verb=${verb:-${COMP_WORDS[i]}}
                ;;
        esac
    done

    COMPREPLY=()
    case $prev in
        --root | --config | --lockd-config)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        --template)
            mapfile -t COMPREPLY < <(compgen -W 'every-key fleet laptop manual server weekend' -- "$cur")
            return
            ;;
        --plot | -o | --authorization-file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --until)
            [[ $verb == wait ]] || return 0
            mapfile -t COMPREPLY < <(compgen -W 'verdict rebooting released' -- "$cur")
            return
            ;;
        --for | --timeout)
            mapfile -t COMPREPLY < <(compgen -W '30min 1h 2h 8h 1d 3d 1week' -- "$cur")
            return
            ;;
        --reason | -n | --from | --to | --id | --group | --base-url | --url) return ;;
        --hosts | --slots | --groups | --reboot | --spread | --failures | --staging) return ;;
        --server-rate | --answer | --outage | --time-zone | --seed) return ;;
    esac

    case $verb in
        '')
            if [[ $cur == -* ]]; then
                more='--root --version'
            else
                known='status why metrics explain wait is-active hold holds release reboot cancel forgive
                    history reload plan check-config cat-config config id fleet-lock fleet simulate
                    help version'
            fi
            ;;
        status) more='--watch --quiet' ;;
        why) more='--watch --all' ;;
        wait) more='--until --timeout' ;;
        is-active) more='--quiet' ;;
        help)
            known='status why metrics explain wait is-active hold holds release reboot cancel forgive
                history reload plan check-config cat-config config id fleet-lock fleet simulate version'
            ;;
        hold) more='--reason --until --for --forever --quiet' ;;
        release) ask='holds id' ;;
        reboot) more='--now --for' ;;
        cancel) more='--for --no-hold' ;;
        forgive) ask='status key' ;;
        check-config)
            more='--strict'
            if [[ $cur != -* ]]; then
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
            fi
            ;;
        config)
            more='--template'
            known='init schema'
            [[ " ${COMP_WORDS[*]} " != *' init '* && " ${COMP_WORDS[*]} " != *' schema '* ]] || known=''
            ;;
        plan) more='--from --to --config' ;;
        simulate)
            more='--hosts --slots --finish-by --server --lockd-config --groups --reboot --spread --failures
                --deaths --zincati --canaries --soak --staging --server-rate
                --answer --from --for --seed --outage --time-zone --config --plot'
            ;;
        fleet-lock)
            more='--id --group --base-url --owed'
            [[ -n $operation ]] || known='lock unlock drop-debt'
            ;;
        fleet)
            more='--group --reason --until --for --forever --forgive --url --authorization-file --plain-http'
            case $operation in
                history) more='-n --url --authorization-file --plain-http' ;;
                status | holders | waiting) more='--url --authorization-file --plain-http' ;;
            esac
            [[ -n $operation ]] || known='status holders waiting history release slots freeze thaw resume backup reload'
            ;;
    esac
    if [[ -n $ask && $cur != -* ]]; then
        known=$(_rebootmgrctl_ask $ask "$root")
        [[ -n $known ]] || return 0
    fi
    if [[ $cur == -* || -z $known ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$more --json --help" -- "$cur")
        return
    fi
    whole=${COMP_LINE:0:COMP_POINT} # readline makes several words of a key with colons
    whole=${whole##*[[:space:]]}
    [[ $COMP_WORDBREAKS != *:* ]] || cur=${whole##*:}
    for word in $known; do # nothing in it is special to a shell
        [[ $word != "$whole"* ]] || COMPREPLY+=("${word#"${whole%"$cur"}"}")
    done
}

complete -F _rebootmgrctl rebootmgrctl
