//! The file that says how a cluster is reached: `kubectl config view`. Pure, no file that it names is read.
//! See "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes documentation.

use serde_json::Value;

use crate::model::decoded;

/// A cluster, and how to be somebody there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// `https://host:port`, without a slash at its end.
    pub server: String,
    /// Who signs the server's certificate; the system's authorities where `None`.
    pub authority: Option<Pem>,
    /// The server's certificate is not looked at.
    pub insecure: bool,
    /// The user's certificate and its key.
    pub certificate: Option<(Pem, Pem)>,
    pub token: Option<Token>,
    /// User and password.
    pub password: Option<(String, String)>,
    /// Where objects go that name no namespace.
    pub namespace: Option<String>,
}

/// A path as written, relative to the file's directory, or the content itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    File(String),
    Content(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Text(String),
    /// As with [`Pem::File`].
    File(String),
}

/// What the file does not say, or says otherwise than we can follow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

type Result<T> = std::result::Result<T, Error>;

fn wrong<T>(text: impl Into<String>) -> Result<T> {
    Err(Error(text.into()))
}

impl Cluster {
    /// That of the current context; without one, that of the only context, or the only cluster with the only user.
    pub fn of(text: &str) -> Result<Cluster> {
        let (nodes, flaws) = crate::yaml::read(text);
        if let Some(flaw) = flaws.first() {
            return wrong(format!("{}:{}: {}", flaw.at.line, flaw.at.column, flaw.text));
        }
        let [node] = nodes.as_slice() else { return wrong("it is no single YAML document") };
        let config = node.json();
        let context = match config["current-context"].as_str().filter(|name| !name.is_empty()) {
            Some(name) => Some(named(&config, "contexts", "context", name)?),
            None => only(&config, "contexts", "context"),
        };
        let (cluster, user) = match context {
            Some(context) => (
                named(&config, "clusters", "cluster", context["cluster"].as_str().unwrap_or_default())?,
                match context["user"].as_str() {
                    Some(name) => named(&config, "users", "user", name)?,
                    None => &Value::Null,
                },
            ),
            None => match only(&config, "clusters", "cluster") {
                Some(cluster) => (cluster, only(&config, "users", "user").unwrap_or(&Value::Null)),
                None => return wrong("it names no current-context, and not just one cluster"),
            },
        };
        let mut found =
            Cluster { namespace: context.and_then(|context| text_of(context, "namespace")), ..Cluster::default() };
        found.reach(cluster)?;
        found.log_in(user)?;
        Ok(found)
    }

    fn reach(&mut self, cluster: &Value) -> Result<()> {
        refuse(cluster, "cluster", &["proxy-url", "tls-server-name"])?;
        let Some(server) = text_of(cluster, "server") else { return wrong("its cluster has no server") };
        if !server.starts_with("https://") && !server.starts_with("http://") {
            return wrong(format!("its server {server:?} is no address of http or https"));
        }
        self.server = server.trim_end_matches('/').to_owned();
        self.authority = pem(cluster, "certificate-authority")?;
        self.insecure = cluster["insecure-skip-tls-verify"].as_bool().unwrap_or(false);
        Ok(())
    }

    fn log_in(&mut self, user: &Value) -> Result<()> {
        refuse(user, "user", &["exec", "auth-provider", "as", "as-uid", "as-groups", "as-user-extra"])?;
        self.certificate = match (pem(user, "client-certificate")?, pem(user, "client-key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return wrong("its user has a client-certificate and no client-key"),
            (None, Some(_)) => return wrong("its user has a client-key and no client-certificate"),
        };
        self.token = text_of(user, "tokenFile").map(Token::File).or(text_of(user, "token").map(Token::Text));
        self.password = text_of(user, "username").map(|name| (name, text_of(user, "password").unwrap_or_default()));
        let has_secret = self.certificate.is_some() || self.token.is_some() || self.password.is_some();
        if has_secret && self.server.starts_with("http://") {
            return wrong(format!("its server {:?} would get the user's credentials unencrypted", self.server));
        }
        Ok(())
    }
}

/// What we would have to leave out.
fn refuse(value: &Value, what: &str, fields: &[&str]) -> Result<()> {
    match fields.iter().find(|field| !value[**field].is_null()) {
        Some(field) => wrong(format!("{field} of its {what} is not supported")),
        None => Ok(()),
    }
}

fn text_of(value: &Value, field: &str) -> Option<String> {
    value[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `FIELD-data` goes before `FIELD`.
fn pem(value: &Value, field: &str) -> Result<Option<Pem>> {
    let data = format!("{field}-data");
    match text_of(value, &data) {
        Some(text) => match decoded(&text) {
            Some(content) => Ok(Some(Pem::Content(content))),
            None => wrong(format!("{data} is not base64")),
        },
        None => Ok(text_of(value, field).map(Pem::File)),
    }
}

/// An entry of one of the three lists: `{name: NAME, WORD: {...}}`.
fn named<'a>(config: &'a Value, list: &str, word: &str, name: &str) -> Result<&'a Value> {
    let entries = config[list].as_array().into_iter().flatten();
    match entries.into_iter().find(|entry| entry["name"].as_str() == Some(name)) {
        Some(entry) => Ok(&entry[word]),
        None => wrong(format!("it has no {word} {name:?}")),
    }
}

fn only<'a>(config: &'a Value, list: &str, word: &str) -> Option<&'a Value> {
    match config[list].as_array().map(Vec::as_slice) {
        Some([entry]) => Some(&entry[word]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "
apiVersion: v1
kind: Config
current-context: work
clusters:
- name: home
  cluster: { server: 'https://home:6443' }
- name: office
  cluster: { server: 'https://office:6443/', certificate-authority-data: cGVt }
contexts:
- name: work
  context: { cluster: office, user: me, namespace: team }
users:
- name: me
  user: { client-certificate: me.crt, client-key-data: a2V5, token: old, tokenFile: /run/token }
";

    #[test]
    fn the_current_context_says_where_and_who() {
        let expected = Cluster {
            server: "https://office:6443".into(),
            authority: Some(Pem::Content(b"pem".to_vec())),
            insecure: false,
            certificate: Some((Pem::File("me.crt".into()), Pem::Content(b"key".to_vec()))),
            token: Some(Token::File("/run/token".into())),
            password: None,
            namespace: Some("team".into()),
        };
        assert_eq!(Cluster::of(TWO).unwrap(), expected);
        // The only context is as good as the current one.
        assert_eq!(Cluster::of(&TWO.replace("current-context: work", "")).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let says = |from: &str, to: &str| Cluster::of(&TWO.replace(from, to)).unwrap_err().to_string();
        for (from, to, expected) in [
            ("current-context: work", "current-context: gone", "it has no context \"gone\""),
            ("user: me", "user: nobody", "it has no user \"nobody\""),
            ("token: old", "exec: { command: aws }", "exec of its user is not supported"),
            ("cGVt", "'???'", "certificate-authority-data is not base64"),
            ("client-key-data: a2V5,", "", "its user has a client-certificate and no client-key"),
            (
                "https://office:6443/",
                "http://office",
                "its server \"http://office\" would get the user's credentials unencrypted",
            ),
            ("https://office:6443/", "office", "its server \"office\" is no address of http or https"),
        ] {
            assert_eq!(says(from, to), expected);
        }
        assert_eq!(Cluster::of("a: [").unwrap_err().to_string().split(": ").next(), Some("1:4"));
        let none = Cluster::of("kind: Config").unwrap_err().to_string();
        assert_eq!(none, "it names no current-context, and not just one cluster");
    }
}
