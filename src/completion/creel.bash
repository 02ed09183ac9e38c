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
    # 2: no space behind it, 4: nothing else, 16: a directory; with neither of the last two and no candidates it is a path.
    local -i directive=${also#:}
    local paths=
    if ((directive & 16)); then paths=-d
    elif ((!(directive & 4) && ${#COMPREPLY[@]} == 0)); then paths=-f
    elif ((directive & 2)); then compopt -o nospace
    fi
    if [[ -n $paths ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen "$paths" -- "${current#--*=}")
    fi
    # What readline replaces begins behind the last of its word breaks.
    local breaks=${COMP_WORDBREAKS//[^:=]/} done=
    if [[ -n $breaks && -z $paths ]]; then
        done=${current%"${current##*[$breaks]}"}
        for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$done"}; done
    fi
}

complete -F __creel_complete creel
