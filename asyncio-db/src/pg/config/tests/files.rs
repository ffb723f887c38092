//! Password files and service files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Case, Config, Surroundings, resolve, shown};

/// A folder of a test, removed with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        // Relaxed: nothing but the number itself is told by it.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-db-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file with permissions.
    pub(super) fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
        permit(&path, mode);
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        permit(&self.0, 0o700);
        // Whoever cannot remove a temporary folder can do no more about it here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[cfg(not(unix))]
fn permit(_: &Path, _: u32) {}

const PASSWORDS: &str = r"
# host:port:database:user:password
one:*:*:me:of me at one
localhost:*:*:*:of this machine
two:7:*:*:at two:7

/a/folder:*:*:*:of a folder
*:*:*:known:of known
*:*:db:*:of db
*:*:my\:db:my\\self:with \: and \\ and :
*:*:*
";

fn password(text: &str, dsn: &str) -> Option<String> {
    let folder = Folder::new();
    let file = folder.file("passwords", text, 0o600);
    let found = Case::dsn(dsn).env(&[("PGPASSFILE", &file)]).found();
    let password = found.servers[0].password.as_ref();
    password.map(|password| password.reveal().to_owned())
}

/// `test_connect.TestConnectParams.test_connect_pgpass_regular`
#[test]
fn the_first_line_that_fits_has_the_password() {
    for (dsn, expected) in [
        ("postgresql://me@one/x", Some("of me at one")),
        ("postgresql://me@localhost/x", Some("of this machine")),
        ("postgresql://me@%2Ftmp/x", Some("of this machine")),
        ("postgresql:///x?user=me", Some("of this machine")),
        ("postgresql://me@two:7/x", Some("at two:7")),
        ("postgresql://me@two:8/x", None),
        ("postgresql://known@three/x", Some("of known")),
        ("postgresql://me@three/db", Some("of db")),
        (
            r"postgresql://my\self@three/my:db",
            Some(r"with : and \ and :"),
        ),
        ("postgresql://me@three/x", None),
        ("postgresql://me:own@one/x", Some("own")),
    ] {
        assert_eq!(password(PASSWORDS, dsn).as_deref(), expected, "{dsn}");
    }
    let by_folder = r"/a/folder:*:*:*:of a folder";
    assert_eq!(
        password(by_folder, "postgresql://me@%2Fa%2Ffolder/x").as_deref(),
        Some("of a folder")
    );
}

/// `test_connect.TestConnectParams.test_connect_pgpass_regular`: the file by environment, keyword and DSN,
/// and the usual one.
#[test]
fn the_password_file_is_named_in_any_way() {
    let folder = Folder::new();
    let file = folder.file(".pgpass", PASSWORDS, 0o600);
    let expected = "me of me at one x one:5432 any";
    let dsn = "postgresql://me@one/x";
    Case::dsn(dsn).env(&[("PGPASSFILE", &file)]).gives(expected);
    Case::dsn(dsn)
        .with(|config| config.passfile(&*file))
        .gives(expected);
    Case::dsn(&format!("{dsn}?passfile={file}")).gives(expected);
    let around = Surroundings::new(&[], Some(folder.path().to_owned()), None);
    let found = resolve::resolve(&Config::from_dsn(dsn), &around).expect("it is fine");
    assert_eq!(shown(&found), expected);
}

#[test]
fn each_host_has_its_own_password() {
    let folder = Folder::new();
    let file = folder.file("passwords", "one:*:*:*:first\ntwo:*:*:*:second\n", 0o600);
    Case::dsn("postgresql://me@one,two,three/db")
        .with(|config| config.passfile(file))
        .gives("me first,second,- db one:5432,two:5432,three:5432 any");
}

/// `test_connect.TestConnectParams.test_connect_pgpass_badness_mode`,
/// `test_connect_pgpass_badness_non_file`, `test_connect_pgpass_nonexistent`,
/// `test_connect_pgpass_inaccessible_file`, `test_connect_pgpass_inaccessible_directory`
#[cfg(unix)]
#[test]
fn a_file_that_must_not_or_cannot_be_read_has_no_passwords() {
    let folder = Folder::new();
    let none = "me - x one:5432 any";
    for mode in [0o660, 0o640, 0o604, 0o601, 0o610] {
        let file = folder.file("passwords", PASSWORDS, mode);
        let case = Case::dsn("postgresql://me@one/x");
        case.with(|config| config.passfile(file)).gives(none);
    }
    let missing = folder.path().join("missing").display().to_string();
    let folder_itself = folder.path().display().to_string();
    permit(folder.path(), 0o700);
    for path in [missing, folder_itself, "\u{0}".to_owned()] {
        let case = Case::dsn("postgresql://me@one/x");
        case.with(|config| config.passfile(path)).gives(none);
    }
    // What a file may hold that is no text is not one of ours.
    let file = folder.path().join("bytes");
    fs::write(&file, b"one:*:*:me:\xff\xfe").expect("a file can be written");
    permit(&file, 0o600);
    let case = Case::dsn("postgresql://me@one/x");
    case.with(|config| config.passfile(file.display().to_string()))
        .gives(none);
}

const SERVICES: &str = "\
# services
; of two kinds
[first]
port = 5433
host=somehost
dbname=its db
user=admin
password=its=pw
target_session_attrs=primary
application_name=it

[second]
host=other:7
database=more
[first]
host=never
";

/// `test_connect.TestConnectParams.test_connect_connection_service_file`
#[test]
fn a_service_counts_more_than_the_environment_and_less_than_a_dsn() {
    let folder = Folder::new();
    let file = folder.file("services", SERVICES, 0o644);
    let env = [
        ("PGSERVICEFILE", &*file),
        ("PGUSER", "env"),
        ("PGPORT", "9"),
    ];
    let expected = "admin its=pw its db somehost:5433 primary";
    let found = Case::dsn("postgresql://?service=first")
        .env(&env)
        .gives(expected);
    assert_eq!(found.server_settings["application_name"], "it");
    Case::dsn("postgresql://?service=first&dbname=dsn")
        .env(&env)
        .gives("admin its=pw dsn somehost:5433 primary");
    Case::dsn("service=second")
        .env(&env)
        .gives("env - more other:7 any");
    Case::new()
        .env(&env)
        .with(|config| config.service("first").user("kw"))
        .gives("kw its=pw its db somehost:5433 primary");
    // Without a DSN, and named by the environment, as libpq has it.
    let named = [("PGSERVICE", "first"), ("PGSERVICEFILE", &*file)];
    Case::new().env(&named).gives(expected);
    Case::new()
        .with(|config| config.service("first").servicefile(&*file))
        .gives(expected);
    Case::dsn("postgresql://me@h/?service=first&host=ignored")
        .env(&env)
        .gives("me its=pw its db h:5433 primary");
}

#[test]
fn service_files_are_found_at_home_and_in_the_systems_folder() {
    let folder = Folder::new();
    folder.file(".pg_service.conf", SERVICES, 0o644);
    folder.file("pg_service.conf", "[third]\nhost=shared\nuser=me\n", 0o644);
    let path = folder.path().display().to_string();
    let around = Surroundings::new(&[("PGSYSCONFDIR", &path)], Some(folder.path().into()), None);
    for (service, expected) in [
        ("first", "admin its=pw its db somehost:5433 primary"),
        ("third", "me - me shared:5432 any"),
    ] {
        let config = Config::new().service(service);
        let found = resolve::resolve(&config, &around).expect("it is fine");
        assert_eq!(shown(&found), expected);
    }
}

#[test]
fn a_service_that_cannot_be_used_is_an_error() {
    let folder = Folder::new();
    let file = folder.file("services", SERVICES, 0o644);
    let missing = folder.path().join("missing").display().to_string();
    for file in [&file, &missing] {
        Case::new()
            .with(|config| config.service("unknown").servicefile(file))
            .fails("is not defined");
    }
    for (text, reason) in [
        ("[a]\nhost", "a line without a value"),
        ("[a]\nservice=b", "a service in a service"),
        ("[a]\nhostaddr=1", "hostaddr is not supported"),
        ("[a]\nport=x", "no number"),
    ] {
        let file = folder.file("services", text, 0o644);
        Case::new()
            .with(|config| config.service("a").servicefile(file))
            .fails(reason);
    }
}
