# fish completion for creel

function __creel_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    set -l also $lines[-1]
    set -e lines[-1]
    if test (count $lines) -gt 0
        printf '%s\n' $lines
    end
    switch $also
        # A path, where nothing else is offered.
        case :0 :2
            if test (count $lines) -eq 0
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current")
            end
        case :16
            __fish_complete_directories (string replace -r '^--[^=]*=' '' -- "$current")
    end
end

complete -c creel -f -a '(__creel_complete)'
