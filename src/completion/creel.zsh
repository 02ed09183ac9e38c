#compdef creel
# zsh completion for creel

_creel() {
    local -a lines values shown
    local line also value
    lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    also=$lines[-1]
    lines[-1]=()
    for line in $lines; do
        value=${line%%$'\t'*}
        values+=("$value")
        if [[ $line == *$'\t'* ]]; then
            shown+=("${(r:28:)value} -- ${line#*$'\t'}")
        else
            shown+=("$value")
        fi
    done
    local -a space
    # 2: no space behind it, 4: nothing else, 16: a directory; with neither of the last two and no candidates it is a path.
    local -i directive=${also#:}
    (( directive & 2 )) && space=(-S '')
    if (( $#values )); then
        if [[ "${lines[*]}" == *$'\t'* ]]; then
            compadd -l -d shown $space -a values
        else
            compadd $space -a values
        fi
    fi
    if (( directive & 16 )); then
        compset -P '--*='; _files -/
    elif (( !(directive & 4) && !$#values )); then
        compset -P '--*='; _files
    fi
}

# As a file in fpath it is the function itself; sourced, it registers.
if [[ $funcstack[1] == _creel ]]; then
    _creel "$@"
else
    compdef _creel creel
fi
