//! `creel kube cp`: `creel cp`, with kubectl's words for where.

use super::{DEFAULT_NAMESPACE, chosen};
use crate::commands::cp;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Copy files into and out of containers of played pods
///
/// One of the two is [NAMESPACE/]POD:PATH.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The container; the pod's first where nothing is said
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Where from and where to
    #[arg(value_name = "[POD:]SRC_PATH [POD:]DEST_PATH")]
    words: Vec<String>,
}

/// One of the two sides.
#[derive(Debug, PartialEq)]
enum Side<'a> {
    Here(&'a str),
    InPod { namespace: Option<&'a str>, pod: &'a str, path: &'a str },
}

impl<'a> Side<'a> {
    fn parse(text: &'a str) -> Result<Side<'a>, Failure> {
        // A path that could be mistaken for a pod's is written with `./`.
        let Some((place, path)) = text.split_once(':').filter(|_| !text.starts_with(['.', '/'])) else {
            return Ok(Side::Here(text));
        };
        let (namespace, pod) = match place.split_once('/') {
            Some((namespace, pod)) => (Some(namespace), pod),
            None => (None, place),
        };
        if pod.is_empty() || pod.contains('/') || namespace == Some("") {
            return Err(Failure::plain("filespec must match the canonical format: [[namespace/]pod:]file/path"));
        }
        Ok(Side::InPod { namespace, pod, path })
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let [from, to] = args.words.as_slice() else {
        return Err(Failure::plain("source and destination are required"));
    };
    let (from, to) = (Side::parse(from)?, Side::parse(to)?);
    match (&from, &to) {
        (Side::Here(_), Side::Here(_)) => {
            return Err(Failure::plain("one of src or dest must be a remote file specification")
                .hint("write POD:PATH for a path in a pod"));
        }
        (Side::InPod { .. }, Side::InPod { .. }) => {
            return Err(Failure::plain("one of src or dest must be a local file specification"));
        }
        (Side::Here(path), Side::InPod { path: other, .. }) | (Side::InPod { path: other, .. }, Side::Here(path)) => {
            if path.is_empty() || other.is_empty() {
                return Err(Failure::plain("filepath can not be empty"));
            }
        }
    }
    let word = |side: Side<'_>| match side {
        // A file of that name: kubectl has no stream.
        Side::Here("-") => Ok("./-".to_owned()),
        Side::Here(path) => Ok(path.to_owned()),
        Side::InPod { namespace, pod, path } => {
            let namespace = namespace.unwrap_or(&args.namespace);
            let container = chosen::one_container(&context.reader()?, namespace, pod, args.container.as_deref())?;
            Ok::<_, Failure>(format!("{}:{path}", container.id()))
        }
    };
    let words = vec![word(from)?, word(to)?];
    cp::run(context, cp::Args { archive: true, overwrite: false, stat: false, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_read_as_kubectl_reads_them() {
        let pod = |namespace, pod, path| Some(Side::InPod { namespace, pod, path });
        for (text, expected) in [
            ("web:/a", pod(None, "web", "/a")),
            ("team/web:a:b", pod(Some("team"), "web", "a:b")),
            ("web:", pod(None, "web", "")),
            ("a/b", Some(Side::Here("a/b"))),
            ("./a:b", Some(Side::Here("./a:b"))),
            ("/a:b", Some(Side::Here("/a:b"))),
            (":a", None),
            ("a/b/c:d", None),
            ("/web:a", Some(Side::Here("/web:a"))),
        ] {
            assert_eq!(Side::parse(text).ok(), expected, "{text}");
        }
    }
}
