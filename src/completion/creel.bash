# bash completion for creel

__creel_complete() {
    local line=${COMP_LINE:0:COMP_POINT} word before rest i
    local -a words=()
    # readline breaks words at "=" and ":"; creel wants them as they were typed.
    rest=$line
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        before=${rest%%[![:space:]]*}
        rest=${rest#"$before"}
        if ((i == COMP_CWORD)); then word=$rest; fi
        rest=${rest#"$word"}
        if ((i > 0)) && [[ -z $before && ${#words[@]} -gt 0 ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    local current=${words[${#words[@]} - 1]} reply also
    reply=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null) || return
    also=${reply##*$'\n'}
    reply=${reply%"$also"}
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        [[ -z $word ]] || COMPREPLY+=("$word")
    done <<< "$reply"
    case $also in
    :files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${current#--*=}") ;;
    :dirs) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "${current#--*=}") ;;
    :nospace) compopt -o nospace ;;
    esac
    # What readline replaces begins behind the last of its word breaks.
    local breaks=${COMP_WORDBREAKS//[^:=]/} done=
    if [[ -n $breaks && $also != :files && $also != :dirs ]]; then
        done=${current%"${current##*[$breaks]}"}
        for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$done"}; done
    fi
}

complete -F __creel_complete creel
