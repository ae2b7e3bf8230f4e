//! What goes wrong at the keyboard: each mistake is told with what to do about it, and
//! ends with a code that a script can tell apart.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::{OPERATOR, Shell, command, ran};
use crate::sim::world::tempdir::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_an_unknown_id_and_a_misspelled_filter_are_told_apart() {
    let shell = Shell::start(None).await;
    let mut wrong = shell.command(&["events", "list"]);
    wrong.env("BELLWETHER_API_KEY", "bwk_wrong");
    assert_eq!(
        ran(wrong).await.ill(10),
        "error: this needs a valid API key (401)\n/v1/accounts?limit=2 was refused\n\
         hint: the key is that of --api-key-file, BELLWETHER_API_KEY or the profile, in this order; \
         `bellwether login` stores one\n"
    );
    let mut none = shell.command(&["events", "list"]);
    none.env_remove("BELLWETHER_API_KEY");
    assert_eq!(
        ran(none).await.ill(10),
        "error: no API key\nhint: `bellwether login` keeps one in a profile; or give --api-key-file FILE or BELLWETHER_API_KEY\n"
    );
    for arguments in [
        &["accounts", "show", "11111111-2222-4333-8444-555555555555"][..],
        &["wabas", "show", "4711"],
        &["webhooks", "show", "11111111-2222-4333-8444-555555555555"],
        &["numbers", "show", "15550000000"],
        &["events", "show", "11111111-2222-4333-8444-555555555555"],
        &["deliveries", "show", "999999"],
        &["keys", "delete", "nobody"],
    ] {
        let unknown = shell.run(arguments).await;
        assert!(unknown.ill(11).contains("there is no"), "{arguments:?}: {}", unknown.err);
    }
    let misspelled = shell.run(&["deliveries", "list", "--status", "exhasted"]).await;
    assert!(misspelled.ill(8).contains("exhausted"), "what there is is named: {}", misspelled.err);
    let misspelled = shell.run(&["events", "lst"]).await;
    assert!(misspelled.ill(2).contains("'list'"), "the nearest is named: {}", misspelled.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_or_not_named_is_told_with_what_to_do() {
    let home = TempDir::new();
    let at = |arguments: &[&str]| {
        let mut command = command(home.path(), arguments);
        command.env("BELLWETHER_API_KEY", OPERATOR);
        ran(command)
    };
    let down = at(&["accounts", "list", "--url", "http://127.0.0.1:9"]).await;
    assert!(
        down.ill(8).starts_with("error: cannot reach http://127.0.0.1:9: Connection refused"),
        "{}",
        down.err
    );
    assert!(down.err.contains("hint: is the server running?"), "{}", down.err);
    let nowhere = at(&["accounts", "list"]).await;
    assert!(nowhere.ill(2).contains("no server is named\nhint: `bellwether login"), "{}", nowhere.err);
    for wrong in ["ftp://a", "127.0.0.1:80", "http://user:hush@a/"] {
        let refused = at(&["accounts", "list", "--url", wrong]).await;
        assert!(
            refused.ill(2).contains("write http://HOST:PORT") && !refused.err.contains("hush"),
            "{}",
            refused.err
        );
    }
    let unknown = at(&["accounts", "list", "--profile", "moon"]).await;
    assert!(
        unknown.ill(2).contains("there is no profile \"moon\"\nhint: there is none yet"),
        "{}",
        unknown.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_for_its_owner_alone_and_its_key_for_its_own_server() {
    let (shell, other) = (Shell::start(None).await, Shell::start(None).await);
    let login = shell.run(&["login", "--url", &shell.running.base, "--profile", "here"]).await;
    login.well();
    let file = shell.file(".config/bellwether/profiles.toml");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        !login.err.contains(OPERATOR) && login.err.contains("profile here for http://127.0.0.1:"),
        "{}",
        login.err
    );
    let at_home = |arguments: &[&str]| ran(command(shell.directory.path(), arguments));
    at_home(&["accounts", "list"]).await.well();
    // Another address does not get the profile's key.
    let elsewhere = at_home(&["accounts", "list", "--url", &other.running.base]).await;
    assert!(elsewhere.ill(10).contains("no API key"), "{}", elsewhere.err);
    at_home(&["accounts", "list", "--url", &other.running.base, "--profile", "here"]).await.ill(2);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = at_home(&["accounts", "list"]).await;
    assert!(open.ill(3).contains("holds a key, and others may read it\nhint: chmod 600"), "{}", open.err);
    // What does not work is not kept.
    let mut wrong = other.command(&["login", "--url", &other.running.base]);
    wrong.env("BELLWETHER_API_KEY", "bwk_wrong");
    ran(wrong).await.ill(10);
    assert!(!other.file(".config").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_a_directory_names_gets_no_key_but_the_one_that_is_there() {
    let shell = Shell::start(None).await;
    let elsewhere = TempDir::new();
    std::fs::create_dir(elsewhere.path().join(".bellwether")).unwrap();
    let named = format!(
        "server.listen = '{}'\noperator.key = 'planted-by-somebody-else'\n",
        shell.running.base.trim_start_matches("http://")
    );
    std::fs::write(elsewhere.path().join(".bellwether/dev.toml"), named).unwrap();
    for arguments in [&["accounts", "list"][..], &["doctor"]] {
        let mut there = command(elsewhere.path(), arguments);
        there.env("BELLWETHER_API_KEY", OPERATOR);
        let refused = ran(there).await;
        let told = format!("{}{}", refused.out, refused.err);
        assert!(told.contains("this needs a valid API key"), "the good key did not go there: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_read_enough_ends_a_listing_and_a_tail_without_a_word() {
    let shell = Shell::start(None).await;
    for number in 0..3 {
        shell.change(&format!("1555000000{number}"), "TIER_1K").await;
    }
    let closed = |arguments: &[&str]| {
        let mut child =
            shell.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child
    };
    let listed = closed(&["events", "list"]).wait_with_output().unwrap();
    assert_eq!((listed.status.code(), listed.stderr.as_slice()), (Some(0), &b""[..]));
    let full = shell
        .command(&["events", "list"])
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1), "but what can't be written is told");
    assert!(String::from_utf8_lossy(&full.stderr).contains("cannot write to standard output"));

    let cursor = shell.file("cursor");
    let mut tail = shell.command(&["events", "tail", "--cursor-file", "cursor"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    super::following::awaits(|| cursor.exists()).await;
    let mut read = BufReader::new(tail.stdout.take().unwrap());
    shell.change("15550000007", "TIER_1K").await;
    let mut line = String::new();
    tokio::task::block_in_place(|| read.read_line(&mut line)).unwrap();
    assert!(line.contains("15550000007"), "{line}");
    drop(read);
    shell.change("15550000008", "TIER_1K").await;
    let ended = tokio::task::spawn_blocking(move || tail.wait().unwrap()).await.unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_seen_in_help_in_the_list_of_processes_or_in_what_is_said() {
    let shell = Shell::start(None).await;
    let mut tail = shell.command(&["events", "tail", "--cursor-file", "cursor"]);
    let mut tail = tail.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let cursor = shell.file("cursor");
    super::following::awaits(|| cursor.exists()).await;
    let shown = std::fs::read(format!("/proc/{}/cmdline", tail.id())).unwrap();
    let _ = tail.kill();
    let _ = tail.wait();
    assert!(String::from_utf8_lossy(&shown).contains("events"), "it is this process's");
    assert!(!String::from_utf8_lossy(&shown).contains(OPERATOR));
    let help = shell.run(&["events", "list", "--help"]).await;
    assert!(help.well().contains("--api-key-file") && !help.out.contains(OPERATOR), "{}", help.out);
    assert!(!help.out.contains("--api-key "), "no option takes a key itself: {}", help.out);
}
