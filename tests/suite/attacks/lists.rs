//! Lists of many, asked for by those who may see few of them, or whose policies make each decision dear.

use base64::Engine;
use serde_json::{Value, json};

use crate::edge::{USERS, api};
use crate::iam::{done, ecr, encoded, user};
use crate::proxy::{Proxy, Setup};

/// A registry with repositories of these names, as if they had been pushed.
async fn with_repositories(users: &str, name: &str, count: usize) -> Proxy {
    let mut setup = Setup::new();
    setup.more = format!("{users}\n[auth]\nfailed_logins = 1000\n");
    let mut proxy = setup.start().await;
    proxy.terminate().await;
    sqlx::any::install_default_drivers();
    let database = format!("sqlite:{}", proxy.data_path().join("entrepot.db").display());
    let pool = sqlx::AnyPool::connect(&database).await.unwrap();
    let many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1) \
                INSERT INTO repository (account, name, created_at_ms) \
                SELECT '000000000000', $2 || printf('%06d', n), 1 FROM n";
    sqlx::query(many).bind(i64::try_from(count).unwrap()).bind(name).execute(&pool).await.unwrap();
    pool.close().await;
    proxy.start().await;
    proxy
}

/// Whoever may see few repositories of many is sent on after so many that were looked at, by a token that names none of them.
#[tokio::test]
async fn a02_descriptions_look_at_so_many() {
    let proxy = with_repositories(USERS, "hidden/", 12_000).await;
    let client = proxy.client();
    let first = api(&client, "nobody", "DescribeRepositories", json!({})).await;
    first.assert_status(200);
    assert_eq!(first.json()["repositories"], json!([]));
    let token = first.json()["nextToken"].as_str().expect("others follow").to_owned();
    let inside = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&token).unwrap();
    assert!(!String::from_utf8_lossy(&inside).contains("hidden"), "it names what may not be seen");
    let rest = api(&client, "nobody", "DescribeRepositories", json!({ "nextToken": token })).await.json();
    assert_eq!(rest, json!({ "repositories": [] }));
    // It is a place for its reader only: to others it is the beginning.
    let first_name = |page: Value| page["repositories"][0]["repositoryName"].clone();
    let others = api(&client, "root", "DescribeRepositories", json!({ "nextToken": token, "maxResults": 1 })).await;
    assert_eq!(first_name(others.json()), "hidden/000001");
    // Pages of who may see all go on where they ended.
    let (mut seen, mut next) = (Vec::new(), Value::Null);
    for _ in 0..3 {
        let mut input = json!({ "maxResults": 2 });
        if next.is_string() {
            input["nextToken"] = next;
        }
        let page = api(&client, "root", "DescribeRepositories", input).await.json();
        let names = page["repositories"].as_array().unwrap().iter();
        seen.extend(names.map(|repository| repository["repositoryName"].as_str().unwrap().to_owned()));
        next = page["nextToken"].clone();
    }
    assert_eq!(seen, (1..=6).map(|n| format!("hidden/{n:06}")).collect::<Vec<_>>());
}

/// Decisions that cost as much as one may do not add up: the page ends, and goes on.
#[tokio::test]
async fn a04_a_page_ends_where_its_decisions_cost_too_much() {
    let count = 40;
    let proxy = with_repositories(crate::iam::USERS, &"a".repeat(200), count).await;
    let key = user(&proxy, "evil", None).await;
    let dear = format!("arn:aws:ecr:*:*:repository/{}*b", "*a".repeat(28));
    let resources: Vec<_> = (0..80).map(|n| format!("{dear}{n}*c")).collect();
    let policy = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": "ecr:DescribeRepositories", "Resource": resources }] });
    for n in 0..20 {
        let put = format!("PutUserPolicy&UserName=evil&PolicyName=p{n}&PolicyDocument=");
        done(&proxy, &(put + &encoded(&policy.to_string()))).await;
    }
    let (mut input, mut pages) = (json!({}), 0);
    loop {
        let page = ecr(&proxy, &key, "DescribeRepositories", &input.to_string()).await;
        page.assert_status(200);
        assert_eq!(page.json()["repositories"], json!([]));
        pages += 1;
        match page.json()["nextToken"].as_str() {
            Some(token) => input["nextToken"] = json!(token),
            None => break,
        }
    }
    assert!((2..count / 2).contains(&pages), "{pages} pages");
}
