//! Go's `text/template`, as far as `--format` reaches: fields, pipelines, variables, `if`, `range`, `with`, `define`,
//! `template`, `block`, `break`, `continue`, comments and trimming. Messages are those of Go.
//!
//! The one crate for this (gtmpl) has no maintainer, works on another value model and has other texts.

mod lex;
mod parse;
mod run;
mod syntax;

use super::value::Value;
use syntax::{Command, Node, Operand, OperandKind, Pipeline};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    /// The command whose output it makes: `volume ls`.
    command: &'static str,
    /// Its last word, for messages.
    name: &'static str,
    source: String,
    /// Added to the columns of the first line: what Podman puts before it.
    column: usize,
    nodes: Vec<Node>,
    definitions: Vec<(String, Vec<Node>)>,
}

type Result<T> = std::result::Result<T, String>;

impl Template {
    /// For one object. The last word of `command` appears in messages, as Podman names its templates.
    pub fn parse(command: &'static str, source: &str) -> Result<Template> {
        let name = command.rsplit(' ').next().unwrap_or(command);
        let (nodes, definitions) = parse::parse(name, source)?;
        Ok(Template { command, name, source: source.to_owned(), column: 0, nodes, definitions })
    }

    /// For each element of a list: as `{{range .}}...{{end}}` around it, unless it goes over the list itself.
    pub fn for_each(command: &'static str, source: &str) -> Result<Template> {
        let mut template =
            Template::parse(command, source).map_err(|problem| match problem.strip_suffix("unclosed action") {
                // What stumbles in Podman is the `{{end}}` that it puts behind.
                Some(place) => format!("{place}bad character U+007B '{{'"),
                None => problem,
            })?;
        if !template.ranges_itself() {
            template.column = "{{range .}}".len();
        }
        Ok(template)
    }

    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Whether it ends its last line by itself.
    pub fn ends_line(&self) -> bool {
        self.source.ends_with('\n')
    }

    /// Whether the template itself goes over the list it is given: `range` over something of an element does not.
    pub fn ranges_itself(&self) -> bool {
        self.nodes.iter().any(|node| {
            let Node::Range(Pipeline { commands, .. }, ..) = node else { return false };
            let [Command { operands, .. }] = commands.as_slice() else { return false };
            matches!(operands.as_slice(), [Operand { kind: OperandKind::Dot, fields, .. }] if fields.is_empty())
        })
    }

    /// The fields of what it is given, where it is made of nothing but fields and text between them.
    pub fn fields(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        for node in self.nodes.iter().filter(|node| !matches!(node, Node::Text(_))) {
            let Node::Action(Pipeline { commands, .. }) = node else { return None };
            let [Command { operands, .. }] = commands.as_slice() else { return None };
            let [Operand { kind: OperandKind::Dot, fields, .. }] = operands.as_slice() else { return None };
            names.push(fields.first()?.as_str());
        }
        Some(names)
    }

    pub fn run(&self, data: &Value) -> Result<String> {
        run::run(self, data)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::format::Nil;
    use crate::object;

    fn host() -> Value {
        object! {
            "os" as "OS": "linux",
            "memTotal" as "MemTotal": 25276510208u64,
            "swapFree" as "SwapFree": 0i64,
            "idMappings" as "IDMappings": object! {
                "uidmap" as "UIDMap": vec![
                    object! { "container_id" as "ContainerID": 0i64, "host_id" as "HostID": 1001i64, "size" as "Size": 1i64 },
                    object! { "container_id" as "ContainerID": 1i64, "host_id" as "HostID": 100000i64, "size" as "Size": 65536i64 },
                ],
            },
        }
    }

    fn info() -> Value {
        let status =
            BTreeMap::from([("Backing Filesystem".to_owned(), "extfs"), ("Using metacopy".to_owned(), "false")]);
        object! {
            "host" as "Host": host(),
            "plugins" as "Plugins": object! {
                "log" as "Log": vec!["k8s-file".to_owned(), "none".into(), "journald".into()],
                "volume" as "Volume": vec!["local".to_owned()],
                "authorization" as "Authorization": Value::Nil(Nil::List),
            },
            "registries" as "Registries": Value::Nil(Nil::Map),
            "graphStatus" as "GraphStatus": Value::map(&status),
        }
    }

    fn run(source: &str) -> String {
        Template::parse("info", source).and_then(|template| template.run(&info())).unwrap_or_else(|error| error)
    }

    #[test]
    fn templates_print_what_podman_prints() {
        // Each expectation was printed by Podman's `info --format`.
        let table = [
            ("{{.Host.IDMappings}}", "{[{0 1001 1} {1 100000 65536}]}"),
            ("{{len .Host.OS}} {{index .Host.IDMappings.UIDMap 0}}", "5 {0 1001 1}"),
            ("{{if .Host.SwapFree}}a{{else if .Host.OS}}b{{else}}c{{end}}", "b"),
            ("{{with .Host.OS}}{{.}}{{else}}none{{end}}", "linux"),
            ("{{range $i, $e := .Host.IDMappings.UIDMap}}{{$i}}:{{$e.Size}},{{end}}", "0:1,1:65536,"),
            ("{{range .Plugins.Volume}}[{{.}}]{{else}}no{{end}}", "[local]"),
            ("{{ .Host.OS | upper | printf \"%s!\" }}", "LINUX!"),
            ("{{- \"a\" -}}  b  {{- /* c */ -}} c", "abc"),
            (
                "{{eq .Host.OS \"linux\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}} {{and 1 0}} {{or 0 \"x\"}} {{not true}}",
                "true true true true false false 0 x false",
            ),
            ("{{$x := .Host.OS}}{{$x}} {{$x = \"y\"}}{{$x}}", "linux y"),
            (
                "{{join .Plugins.Log \",\"}} {{split \"a,b\" \",\"}} {{title \"abc def\"}} {{truncate \"abcdef\" 3}} {{pad \"a\" 2 3}}| {{lower \"ABC\"}}",
                "k8s-file,none,journald [a b] Abc Def abc   a   | abc",
            ),
            ("{{print 1 2 \"a\" \"b\" 3}} {{println \"x\" 1}}", "1 2ab3 x 1\n"),
            ("{{slice \"abcdef\" 1 3}} {{html \"<a>\"}} {{urlquery \"a b\"}} {{js \"a\"}}", "bc &lt;a&gt; a+b a"),
            ("{{.Plugins}}", "{[k8s-file none journald] [local] []}"),
            ("{{.Registries}}", "map[]"),
            ("{{1.5}} {{true}} {{\"a\\tb\"}} {{`raw\\t`}} {{0x10}} {{-3}} {{'a'}}", "1.5 true a\tb raw\\t 16 -3 97"),
            ("{{(index .Host.IDMappings.UIDMap 0).Size}}", "1"),
            ("{{define \"T\"}}x{{.}}{{end}}{{template \"T\" .Host.OS}}", "xlinux"),
            ("{{block \"B\" .}}z{{end}}", "z"),
            ("{{range .Plugins.Log}}{{if eq . \"none\"}}{{continue}}{{end}}{{.}}{{break}}{{end}}", "k8s-file"),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{ index .GraphStatus \"Backing Filesystem\" }}|{{ index .GraphStatus \"nope\" }}|", "extfs||"),
            ("{{printf \"%v %v\" .Plugins.Log nil}}", "[k8s-file none journald] <nil>"),
            ("{{.Host.OS | }}", "linux"),
            ("{{title \"hello wORLD foo-bar\"}}", "Hello WORLD Foo-Bar"),
            ("{{truncate \"äöü\" 2}}", "ä"),
            ("{{printf \"%[2]d %[1]d\" 1 2}}", "2 1"),
            (
                "{{printf \"%+v\" .Host.IDMappings}}",
                "{UIDMap:[{ContainerID:0 HostID:1001 Size:1} {ContainerID:1 HostID:100000 Size:65536}]}",
            ),
            ("{{json .Plugins.Log}}", "[\"k8s-file\",\"none\",\"journald\"]"),
        ];
        for (source, expected) in table {
            assert_eq!(run(source), expected, "{source}");
        }
    }

    #[test]
    fn mistakes_are_named_as_go_names_them() {
        let table = [
            (
                "{{.Host.Nope}}",
                "template: info:1:7: executing \"info\" at <.Host.Nope>: can't evaluate field Nope in type struct",
            ),
            (
                "{{.Host.OS.Nope}}",
                "template: info:1:7: executing \"info\" at <.Host.OS.Nope>: can't evaluate field Nope in type string",
            ),
            (
                "{{join \"x\" \",\"}}",
                "template: info:1:7: executing \"info\" at <\"x\">: can't handle \"x\" for arg of type []string",
            ),
            ("{{upper 3}}", "template: info:1:8: executing \"info\" at <3>: expected string; found 3"),
            (
                "{{upper .Plugins.Log}}",
                "template: info:1:16: executing \"info\" at <.Plugins.Log>: wrong type for value; expected string; got []string",
            ),
            (
                "{{lt true false}}",
                "template: info:1:2: executing \"info\" at <lt true false>: error calling lt: invalid type for comparison",
            ),
            (
                "{{template \"none\"}}",
                "template: info:1:11: executing \"info\" at <{{template \"none\"}}>: template \"none\" not defined",
            ),
            (
                "{{range .Host.OS}}x{{end}}",
                "template: info:1:13: executing \"info\" at <.Host.OS>: range can't iterate over linux",
            ),
            ("{{\"abc}}", "template: info:1: unterminated quoted string"),
            ("{{$x}}", "template: info:1: undefined variable \"$x\""),
            ("{{if $x := 1}}{{end}}{{$x}}", "template: info:1: undefined variable \"$x\""),
            ("{{$x = 2}}", "template: info:1:7: executing \"info\" at <2>: undefined variable: $x"),
            ("{{ | upper}}", "template: info:1: unexpected \"|\" in command"),
            (
                "{{call .Host.OS}}",
                "template: info:1:2: executing \"info\" at <call .Host.OS>: error calling call: non-function .Host.OS of type string",
            ),
            (
                "{{not 1 2}}",
                "template: info:1:2: executing \"info\" at <not>: wrong number of args for not: want 1 got 2",
            ),
            (
                "{{eq 1}}",
                "template: info:1:2: executing \"info\" at <eq 1>: error calling eq: missing argument for comparison",
            ),
            (
                "{{eq .Plugins.Log .Plugins.Log}}",
                "template: info:1:2: executing \"info\" at <eq .Plugins.Log .Plugins.Log>: error calling eq: non-comparable type [k8s-file none journald]: []string",
            ),
            ("{{{.Host.OS}}}", "template: info:1: unexpected \"{\" in command"),
            ("{{nope .}}", "template: info:1: function \"nope\" not defined"),
            ("{{.Host.OS", "template: info:1: unclosed action"),
            ("{{if}}x{{end}}", "template: info:1: missing value for if"),
            ("{{end}}", "template: info:1: unexpected {{end}}"),
            ("{{if .Host}}", "template: info:1: unexpected EOF"),
            (
                "{{index .Plugins.Log 9}}",
                "template: info:1:2: executing \"info\" at <index .Plugins.Log 9>: error calling index: index out of range: 9",
            ),
            ("{{nil}}", "template: info:1:2: executing \"info\" at <nil>: nil is not a command"),
            (
                "{{eq 1 1.0}}",
                "template: info:1:2: executing \"info\" at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64",
            ),
            ("{{len 3}}", "template: info:1:2: executing \"info\" at <len 3>: error calling len: len of type int"),
            (
                "{{and}}",
                "template: info:1:2: executing \"info\" at <and>: wrong number of args for and: want at least 1 got 0",
            ),
            ("{{true.x}}", "template: info:1: unexpected . after term \"true\""),
            ("{{.Names", "template: info:1: unclosed action"),
            ("{{break}}", "template: info:1: {{break}} outside {{range}}"),
        ];
        for (source, expected) in table {
            assert_eq!(run(source), expected, "{source}");
        }
    }

    #[test]
    fn fields_are_known_where_there_is_nothing_else() {
        let table = [
            ("{{.ID}}\t{{.Names}} {{.Host.OS}}", Some(vec!["ID", "Names", "Host"])),
            ("text", Some(Vec::new())),
            ("{{.}}", None),
            ("{{json .}}", None),
            ("{{.ID}} {{.Label \"a\"}}", None),
            ("{{range .}}{{.ID}}{{end}}", None),
            ("{{.ID | upper}}", None),
            ("{{$x := .}}{{$x.ID}}", None),
        ];
        for (source, fields) in table {
            assert_eq!(Template::parse("ps", source).unwrap().fields(), fields, "{source}");
        }
    }

    #[test]
    fn unknown_keys_of_maps_have_no_value() {
        assert_eq!(run("{{.GraphStatus.nope}}"), "<no value>");
    }

    #[test]
    fn a_method_hides_the_field_of_its_name() {
        let value = object! { "Names": vec!["c1".to_owned()], fn "Names": "c1" };
        let template = Template::parse("ps", "{{.Names}} {{.}} {{json .}}").unwrap();
        assert_eq!(template.run(&value).unwrap(), "c1 {[c1]} {\"Names\":[\"c1\"]}");
    }

    #[test]
    fn a_label_is_asked_for_by_name() {
        let value = object! { "Labels": Value::map(&BTreeMap::from([("a".to_owned(), "b")])) };
        let template = Template::parse("ps", "{{.Label \"a\"}}|{{.Label \"x\"}}").unwrap();
        assert_eq!(template.run(&value).unwrap(), "b|");
    }
}
