//! How to talk to a registry.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::parse_duration;
use crate::registry::{Credentials, CredentialsError, Options, Registry, RegistryError};

/// The largest password, certificate or docker configuration that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Who to be for a registry, and what to trust. Without a user, what `docker login` keeps in its
/// `config.json` for the host is used.
#[derive(Args, Clone, Debug)]
pub struct RegistryArgs {
    /// The registry's user [default: who `docker login` logged in]
    #[arg(long, env = "REGSQL_REGISTRY_USER", hide_env_values = true, value_name = "USER")]
    pub registry_user: Option<String>,
    /// A file with the password, or - for standard input; or set `REGSQL_REGISTRY_PASSWORD`
    #[arg(long, value_name = "FILE")]
    pub registry_password_file: Option<PathBuf>,
    /// A file of CA certificates (PEM) to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub registry_ca: Option<PathBuf>,
    /// How long to wait for one answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_timeout)]
    pub registry_timeout: Duration,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a registry needs some time to answer".to_owned()),
        timeout => Ok(timeout),
    }
}

impl RegistryArgs {
    /// The registry at `url` with these options.
    ///
    /// # Errors
    /// When a file cannot be read, or the address or the certificates are none.
    pub fn connect(&self, url: &str) -> Result<Registry, RegistryError> {
        let host = Registry::host_of(url)?;
        let environment = Environment {
            password: std::env::var("REGSQL_REGISTRY_PASSWORD").ok(),
            docker_config: docker_config(),
        };
        let options = Options {
            credentials: self.credentials(&host, environment)?,
            ca_pem: match &self.registry_ca {
                Some(path) => Some(read("CA certificates", path)?),
                None => None,
            },
            timeout: self.registry_timeout,
            ..Options::default()
        };
        Registry::connect(url, options)
    }

    fn credentials(
        &self,
        host: &str,
        environment: Environment,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let password = match &self.registry_password_file {
            Some(path) => Some(first_line(&read("the password", path)?)),
            None => environment.password,
        };
        match (&self.registry_user, password.filter(|password| !password.is_empty())) {
            (Some(user), _) if user.contains(':') => {
                Err(CredentialsError::ColonInUser(user.clone()))
            }
            (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password))),
            (Some(user), None) => Err(CredentialsError::NoPassword(user.clone())),
            (None, Some(_)) => Err(CredentialsError::NoUser),
            (None, None) => match environment.docker_config {
                Some(path) => from_docker(&path, host),
                None => Ok(None),
            },
        }
    }
}

/// What the process's environment adds.
struct Environment {
    password: Option<String>,
    docker_config: Option<PathBuf>,
}

/// Where docker keeps logins.
fn docker_config() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(directory.join("config.json"))
}

fn from_docker(path: &Path, host: &str) -> Result<Option<Credentials>, CredentialsError> {
    match read("docker's logins", path) {
        Ok(json) => Credentials::from_docker_config(&path.display().to_string(), &json, host),
        // Most who never log in have none.
        Err(CredentialsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let read_all = || {
        let mut bytes = Vec::new();
        let source: &mut dyn Read =
            if path == Path::new("-") { &mut io::stdin() } else { &mut File::open(path)? };
        source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    };
    read_all().map_err(|source| {
        let path = path.display().to_string();
        CredentialsError::Read { what, path, source }
    })
}

/// Editors end a file with a line break that is no part of the password.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        registry: RegistryArgs,
    }

    fn credentials(
        args: &[&str],
        password: Option<&str>,
        docker_config: Option<PathBuf>,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let words = ["regsql"].iter().chain(args);
        let registry = Command::try_parse_from(words).unwrap().registry;
        let environment = Environment { password: password.map(str::to_owned), docker_config };
        registry.credentials("hub.example:5000", environment)
    }

    #[test]
    fn a_password_comes_from_a_file_or_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "s3cret \n").unwrap();
        let file = path.to_str().unwrap();
        let ann = |password| Some(Credentials::new("ann", password));
        let user = ["--registry-user", "ann"];
        let with_file = [&user[..], &["--registry-password-file", file]].concat();
        assert_eq!(credentials(&with_file, Some("other"), None).unwrap(), ann("s3cret "));
        assert_eq!(credentials(&user, Some("hunter2"), None).unwrap(), ann("hunter2"));
        assert_eq!(credentials(&[], None, None).unwrap(), None);
    }

    #[test]
    fn half_a_login_is_an_error_with_the_other_half_as_a_hint() {
        let error = credentials(&["--registry-user", "ann"], None, None).unwrap_err();
        assert!(error.hint().unwrap().contains("--registry-password-file"), "{error}");
        let error = credentials(&[], Some("hunter2"), None).unwrap_err();
        assert!(error.hint().unwrap().contains("--registry-user"), "{error}");
        let error = credentials(&["--registry-user", "a:b"], Some("x"), None).unwrap_err();
        assert!(error.to_string().contains("colon"), "{error}");
        let missing = ["--registry-user", "ann", "--registry-password-file", "/no/such"];
        let error = credentials(&missing, None, None).unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }

    #[test]
    fn without_a_user_it_is_who_docker_logged_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let from_docker = || credentials(&[], None, Some(path.clone()));
        assert_eq!(from_docker().unwrap(), None, "most have none");
        // base64 of `ann:pass:word`.
        let logins = r#"{"auths":{"hub.example:5000":{"auth":"YW5uOnBhc3M6d29yZA=="}}}"#;
        std::fs::write(&path, logins).unwrap();
        assert_eq!(from_docker().unwrap(), Some(Credentials::new("ann", "pass:word")));
        let bob = credentials(&["--registry-user", "bob"], Some("x"), Some(path.clone()));
        assert_eq!(bob.unwrap(), Some(Credentials::new("bob", "x")));
        std::fs::write(&path, "{").unwrap();
        assert!(from_docker().unwrap_err().to_string().contains("docker login"));
        std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
        assert!(from_docker().is_err(), "a file without end is not read");
    }

    #[test]
    fn an_answer_is_waited_for_at_least_a_moment() {
        assert!(Command::try_parse_from(["regsql", "--registry-timeout", "0s"]).is_err());
        let args = Command::try_parse_from(["regsql"]).unwrap().registry;
        assert_eq!(args.registry_timeout, Duration::from_secs(30));
        let wrong = args.connect("localhost:5000").unwrap_err();
        assert!(matches!(wrong, RegistryError::BadUrl { .. }), "{wrong}");
    }
}
