# bash completion for rebootmgr-lockd(8)

_rebootmgr_lockd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local verb='' what='' known='' more='' i
    local IFS=$' \t\n'

    if [[ $cur == = ]]; then # readline makes three words of --log-level=info
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --root | --log-level)
                [[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
                ((i++))
                ;;
            -*) ;;
            *)
                what=${verb:+${COMP_WORDS[i]}}
                verb=${verb:-${COMP_WORDS[i]}}
                ;;
        esac
    done

    COMPREPLY=()
    case $prev in
        --root)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        --log-level)
            mapfile -t COMPREPLY < <(compgen -W 'debug info warning error' -- "$cur")
            return
            ;;
        --ca-file | --client-cert-file | --client-key-file | --credentials-file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --endpoints | --airlock-url) return ;;
    esac
    case $verb in
        '')
            known='check-config import'
            more='--root --log-level --version'
            ;;
        check-config) more='--strict --json' ;;
        import)
            [[ -n $what ]] || known='airlock'
            more='--endpoints --airlock-url --ca-file --client-cert-file --client-key-file --credentials-file'
            ;;
    esac
    if [[ $cur == -* || -z $known ]]; then
        known="$more --help"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$known" -- "$cur")
}

complete -F _rebootmgr_lockd rebootmgr-lockd
