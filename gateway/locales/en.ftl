# Every text that people are shown at our own pages, in English. What is in <strong> is
# markup; what stands for something is put in without any.

## Times

date = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
} { $year }
just-now = just now
minutes-ago = { $count ->
    [one] 1 minute ago
   *[other] { $count } minutes ago
}
hours-ago = { $count ->
    [one] 1 hour ago
   *[other] { $count } hours ago
}
days-ago = { $count ->
    [one] 1 day ago
   *[other] { $count } days ago
}

## The frame

flow = flow

## Consent

consent-page = { $client } asks for { $server }
consent-ask = Let this app use { $server }?
consent-ask-person = { $person }, let this app use { $server }?
consent-somebody-else = <strong>You signed in as { $person }</strong>, and not as the person whom this page named before. Nothing was allowed yet.
consent-app = The app
consent-operator = Added by your administrator
consent-vouched = Checked by your administrator
consent-verified = Verified: published by { $host }
consent-document = Says it is from { $host } (its web address was checked, the company was not)
consent-dynamic = Not verified – the app chose this name itself
consent-at-home = This address belongs to the makers of { $title }
consent-not-at-home = <strong>It calls itself like { $title }, but this address is not one of { $title }’s.</strong> Deny, unless you know why.
consent-mixed = <strong>Its name mixes letters of different alphabets</strong>, as names do that should be taken for another. Deny, unless you know why.
consent-goes-to = The answer goes to
consent-device-host = a device or program without a browser
consent-shows = the one that shows <strong>{ $code }</strong>
consent-nameless = An app without a name
consent-before-all = You allowed this on { $day }.
consent-before-part = You have allowed a part of this since { $day }. It now asks for more: what is <strong>new</strong> stands out.
consent-before-changed = <strong>The app describes itself differently than on { $day }</strong>, when you last allowed it. That is why you are asked again.
consent-before-elsewhere = <strong>The answer goes elsewhere than before.</strong> When you last allowed this app, on { $day }, it went to <strong>{ $before }</strong>. Now it goes to <strong>{ $now }</strong>.
consent-may = It will be able to
consent-new = new
consent-stays = Stay connected when you are away
consent-may-not = It will not be able to
consent-as = As <strong>{ $person }</strong>, whom <strong>{ $provider }</strong> confirms next. Not you? { $link }, then start again from the app.
consent-sign-out = Sign out
consent-next = Next: sign in at <strong>{ $provider }</strong>. Access is given to whoever signs in there.
consent-where = Next you sign in, and access is given to that account. Where is yours?
consent-this-computer = <strong>The answer goes to a program on this computer.</strong> Any program here could use that address and this name. Continue only if you have just started this app yourself.
consent-scheme = <strong>The answer goes to an app on this computer that claims this kind of address.</strong> Any app could have claimed it. Continue only if you have just started this app yourself.
consent-device = <strong>The answer goes to another device or program.</strong> Allow it only if it is in front of you and shows the code above. If somebody sent you the code or a link, deny.
deny = Deny
allow = Allow
consent-back = You can take this back at any time in { $link }. This page is valid for 10 minutes.

## On the way

onward-page = Going on to { $host }
onward-provider = Sign in at { $host }
onward-app = Back to the app
onward-taken = You are being taken to <strong>{ $host }</strong>.
go-on = Go on

## Devices

device-connect = Connect a device
device-type = Type the code that the device or program shows you.
device-code = Code
device-continue = Continue
device-careful = <strong>Continue only if you started this yourself,</strong> just now, on a device or program in front of you, and it shows this very code. Nobody from support will ever ask you for a code.
device-too-many = Too many codes were tried from here. Wait a few minutes.
device-none = No device waits with this code. Look at it again, or start anew on the device.
device-not-admitted = The program behind this code is no longer admitted here.
device-connected-page = Connected
device-not-connected-page = Not connected
device-connected = Your device is connected
device-connected-more = You can close this page and go back to it. It goes on by itself within a few seconds.
device-not-connected = Your device was not connected
device-not-connected-more = It was told so. You can close this page.

## My apps, and one's own session

apps = My apps
apps-title = Apps that can act for you
signed-in-as = Signed in as <strong>{ $person }</strong>
sign-out = Sign out
apps-stopped = <strong>Stopped: { $names }.</strong> Its access is refused from now on. If it is used again, it asks you to sign in and to allow it anew.
apps-allowed-again = <strong>{ $name } may act for you again</strong>, from its next request on.
apps-none = No app can act for you here. When you allow one, it is listed on this page, and you can take it back at any time.
apps-is-stopped = Stopped
apps-used = Last used { $ago }
apps-calls = { $count ->
    [one] 1 call this week
   *[other] { $count } calls this week
}
apps-recent = Last calls
apps-recent-more = There may be more calls than are shown and counted here: only the newest of all that this gateway passed on were looked through. Your administrator can see every one.
call-ok = done
call-denied = not let through
call-failed = failed
apps-not-connected = Allowed, not connected now
apps-since = since { $day }
apps-allow-again = Allow again
apps-stop = Stop access
apps-everything = Everything at once
apps-everything-more = { $count ->
    [one] Stops the one app above. It asks you to sign in again when it is used.
   *[other] Stops all { $count } apps above, at once. Each asks you to sign in again when it is used.
}
apps-stop-all = Stop everything
apps-not-you = Something here was not you? Stop it, and tell your administrator which app and when.
sign-in = Sign in
sign-in-at = Sign in at { $provider }
sign-in-apps = Sign in to see which apps you have allowed, and to stop them.
sign-in-operators = For operators of this gateway
sign-in-operators-more = Sign in to go on. What you may see and do comes from your groups at the identity provider.
signed-in = Signed in
signed-in-title = You are signed in
connections = My accounts
connections-title = Accounts that servers use for you
connections-more = Some servers act at another service in your name. Connect your account there, and when an app of yours calls such a server, the server gets access to that account. The apps themselves do not.
connections-since = Connected to <strong>{ $host }</strong> since { $day }
connections-none = Not connected. You sign in at <strong>{ $host }</strong> and allow it there.
connections-broken = <strong>{ $host }</strong> takes the account no more: it was taken back there, or has run out. Connect it anew.
connections-nothing = There is nothing to connect or to confirm here. If a tool sent you, go back to your app and try again.
connections-confirm-what = <strong>{ $provider }</strong> wants you to confirm, or to show more of who you are, before this server may act for you.
connections-confirm = Confirm
connections-connect = Connect
connections-anew = Connect another
connections-disconnect = Disconnect
sign-out-ask = Sign out of this gateway?
sign-out-more = You are signed in as <strong>{ $person }</strong>. The apps that you have allowed go on: { $link } if they should not.
sign-out-stop = stop them here
not-signed-in = You are not signed in here
not-signed-in-more = Your sign-in at the identity provider is not touched by this: on a computer that others use, sign out there as well.
operator-acts = You are an operator of this gateway
operator-looks = You may look at this gateway
operator-open = Open the console
to-console = You go on as <strong>{ $person }</strong> to the console at <strong>{ $console }</strong>. If you did not open it yourself just now, close this page.
operator-where = It is at { $address }. If your browser cannot reach that, open it on the gateway’s own network or computer, or set { $setting }.

## The record of a login

flow-page = Flow { $code }
flow-again = Look again
flow-step = Step { $number }, { $stage }: { $title }
flow-happened = What happened
flow-said = It said
flow-usually = Usually: { $means }. What helps: { $helps }.
flow-cause = Cause
flow-check = How to see it
flow-fix = Fix
flow-who = Who can
flow-not = Not the cause
flow-drawing = Drawing; the list below has the same
flow-between = { $count ->
    [one] One step between
   *[other] { $count } steps between
}
flow-calls = Calls of its tools, in the console
flow-text = Text
flow-test = To try this login as a test, with the same server and scopes:
flow-copy-link = Copy link
flow-copy-report = Copy for a bug report
flow-copied = Copied
flow-take = Take it along:
flow-succeeded = Succeeded.
flow-went-on = Succeeded; what the app asked for last was refused.
flow-failed = Failed at step { $number }.
flow-waits-person = Waiting for the person to decide on the consent page, since { $seconds } s.
flow-waits-back = Waiting for the person to come back from { $host }, since { $seconds } s.
flow-waits-back-long = Waiting for the person to come back from { $host }, since { $seconds } s. If an error is shown there: either our redirect URI is not registered, or the person may not use the application, or a policy blocks the sign-in. Their page has an id of the request; ask for it.
flow-waits-provider = Waiting for the identity provider, since { $seconds } s.
stage-request = request
stage-consent = consent
stage-sign-in = sign-in
stage-way-back = way back
stage-identity = identity
stage-code-for-tokens = code for tokens
stage-renewal = renewal
stage-use = use
ruled-out-app = the app's id and redirect URI: they were in order
ruled-out-consent = the consent: it was given, in the same browser
ruled-out-redirect = our redirect URI at the identity provider: the browser came back to it
ruled-out-sign-in = the person's sign-in: the identity provider sent a code
who-operator = whoever runs this gateway
who-person = you
who-app = whoever makes the app
who-provider = whoever administers the identity provider

step-probably-challenged = Probably: the app called the server without a token, and was told where to sign in
step-probably-resource = Probably: the app read what the server needs
step-probably-server = Probably: the app read which addresses this gateway has
step-registered = The app registered itself
step-asked = “{ $client }” ({ $known }) asked for { $server } ({ $scopes }); the answer would go to { $host }
step-consent-shown = The consent page was shown
step-remembered = The consent page was left out: the person had allowed the same before
step-allowed = The person allowed it
step-denied = The person declined, and the app was told
step-sent = The browser was sent to { $host } to sign in
step-came-back = The browser came back from the identity provider
step-provider-refused = The identity provider refused: { $error }
step-provider-refused-said = The identity provider refused: { $error }. It said: “{ $said }”
step-provider-silent = The identity provider did not answer
step-provider-failed = The identity provider's token endpoint answered { $status } { $error }
step-provider-failed-said = The identity provider's token endpoint answered { $status } { $error }. It said: “{ $said }”
step-identity-refused = The identity provider's answer was refused: { $why }
step-signed-in = { $person } signed in
step-code-sent = The app was sent its code
step-tokens-issued = The app exchanged its code for access
step-used = The app came with its access for the first time
step-tools-listed = The app asked the server which tools there are
step-refreshed = The app renewed its access
step-revoked = The access was ended
step-refused = Refused ({ $code }): { $why }

## Logins

flows = Logins
flows-causes = Failing since yesterday
flows-app = App
flows-person = Person
flows-error = Error
flows-failed-only = failed only
flows-show = Show
flows-none = No login is like that.
flows-when = When
flows-flow = Flow
flows-server = Server
flows-stands = How it stands
flows-failed = failed
flows-ok = ok
flows-declined = declined
flows-open = open
flows-older = Older

## Servers

landing = MCP servers here. Give one of these addresses to your app; it finds the way to sign in by itself.
errors = Errors and what to do
errors-page = Errors
errors-all = All errors
errors-example = Example
connect-page = Connect { $server }
connect-more = Give this address to your app. It finds the way to sign in by itself, and asks you before it may do anything.
connect-may = What an app may ask for
connect-add = Add to { $app }
connect-all = All servers
way-vscode = Follow the link, or put this into .vscode/mcp.json and start the server there.
way-claude = Settings, Connectors, Add custom connector: paste the address.
way-claude-code = Run this, then /mcp inside it to sign in.
way-cursor = Follow the link, or put this into ~/.cursor/mcp.json.
way-codex = Run these two.
way-gemini = Run this, then /mcp auth inside it to sign in.
way-inspector = Run this, and press Connect.
way-terminal = Sign in, see the tools, call one.

## What is refused

refused-do = What to do
refused-back = Back to { $host }
refused-tell = tell your administrator the flow code <strong>{ $flow }</strong>

V-AUT-001 = This link cannot be used
    .what = In short: { $why }.
    .fix = Start again from the app itself. If that does not help, remove the server from the app and add it anew, so that it registers again.
V-AUT-003 = This request cannot be used
    .what = The app's request cannot be used: { $why }.
    .fix = This is for the makers of the app to mend. You can go back to it and tell it.
V-AUT-004 = This link cannot be read
    .what = Its parameters are not properly encoded.
    .fix = Start again from the app itself.
V-AUT-005 = This link is no longer valid
    .what = The app prepared this sign-in too long ago, or it was prepared elsewhere.
    .fix = Start again from the app itself.
V-CLI-001 = This app is not known here
    .what = The app's id is not one of this gateway's.
    .fix = { $again } If that does not help, ask your administrator to admit the app.
V-CLI-002 = This app is not known here
    .what = This gateway does not admit that app.
    .fix = { $again } If that does not help, ask your administrator to admit the app.
V-CLI-003 = This app is not known here
    .what = The web address that describes the app could not be used.
    .fix = { $again } If that does not help, ask your administrator to admit the app.
V-CLI-005 = This app is blocked here
    .what = An administrator of this gateway blocked that app.
    .fix = Ask your administrator, if you need it. They can see why it was blocked, and let it in again.
start-again = Remove the server from the app and add it anew, so that it registers again.
V-CLI-004 = This app looks like another
    .what = It calls itself like an app that people know, at an address that is not that app's, or it writes its name with letters that are easily taken for others.
    .fix = If you did not expect this, close the page. If it is an app of your company, ask your administrator to add it.
V-CON-001 = This page does not belong to this browser
    .what = The decision did not come from the page that this browser was shown, or cookies are switched off.
    .fix = Start again from the app, allow cookies for this address, and decide in the same window.
V-CON-002 = This form cannot be read
    .what = The form is not the one that was shown.
    .fix = Start again from the app.
V-CON-003 = This page is no longer valid
    .what = It was open for more than ten minutes, or the app is no longer admitted.
    .fix = Start again from the app.
V-CON-004 = This page was used already
    .what = A decision was made on it before, perhaps in another tab.
    .fix = If the app is not connected yet, start again from the app.
V-CON-005 = The decision did not come from this gateway's page
    .what = Another site sent it, or something between this browser and the gateway takes away where it came from. Nothing was allowed.
    .fix = Start again from the app. If you did not press anything, close the page.
V-DEV-001 = This page does not belong to this browser
    .what = The code did not come from the page that this browser was shown, or the device has its answer already.
    .fix = Open the address that the device shows, allow cookies for it, and type the code.
V-DEV-002 = Devices cannot be connected here
    .what = This gateway does not offer sign-in by a code.
    .fix = Ask your administrator to switch it on: tokens.device = true.
V-FLW-001 = This record is not for this browser
    .what = The record of a sign-in is shown to the browser that began it.
    .fix = Open it there, or give your operator the flow code: the log has the same steps.
V-IDP-002 = This sign-in was not begun in this browser
    .what = The link belongs to a sign-in that somebody allowed in another browser, or that is over. Nobody was given access.
    .fix = If you wanted to connect an app, start again from the app. If somebody sent you this link, close the page and tell your administrator.
V-IDP-003 = The answer came from another identity provider
    .what = It does not name the provider that this sign-in was sent to.
    .fix = Start again from the app. If it happens again, tell your administrator the flow code.
V-IDP-004 = The sign-in took too long
    .what = More than ten minutes passed between Allow and the way back.
    .fix = Start again from the app.
V-IDP-005 = This address is not complete
    .what = The identity provider's answer lacks its parameters.
    .fix = Start again from the app.
V-IDP-006 = This sign-in is over
    .what = The identity provider's answer was used before, or came too late.
    .fix = If the app is not connected yet, start again from the app.
V-IDP-023 = This account is not of the organization
    .what = You signed in with an account that is private or of another organization. The app was given no access to { $server }.
    .fix = Go back to your app, sign in again and choose your company account. If this was it, tell your administrator the flow code below.
V-POL-001 = You may not use { $server }
    .what = You signed in, and the rules of this gateway leave you out of { $server }. The app was given no access.
    .fix = Ask your administrator to let you in, and tell them the flow code below. Trying again does not help before that.
not-admitted-now = This app may not do this here
    .what = While you signed in, or before, an administrator of this gateway blocked the app or limited what it may ask for. The app was given no access.
    .fix = Ask your administrator, if you need it, and tell them the flow code below.
V-POL-002 = You are not let in here
    .what = You signed in, and an administrator of this gateway does not let you in. Nothing was changed.
    .fix = Ask your administrator: they can see why, and let you in again.
V-STO-001 = The gateway cannot go on right now
    .what = Its store did not answer. Nothing was changed.
    .fix = Wait a moment and start again from the app.
V-WEB-001 = There is nothing here
    .what = This address is not one of this gateway's.
    .fix = Look at the address again. The gateway's own page lists its MCP servers.
no-server = There is nothing here
    .what = This address is not one of this gateway's.
    .fix = Ask whoever runs this gateway for the address of the MCP server.
no-error = There is no such error
    .what = This code is not one of this program's.
    .fix = Look at the code again, or read the list at /errors.
V-APP-001 = This form does not belong to this session
    .what = It did not come from the page that this gateway drew for your session: perhaps you signed in anew in another tab since. Nothing was changed.
    .fix = Open My apps again in this browser and press the button there. If you did not press anything, close the page.
V-APP-002 = There is no such app among yours
    .what = It was stopped already, perhaps in another tab or by an operator, or it was never one of yours.
    .fix = Nothing is left to do: an app that is not listed under My apps cannot act for you.
V-ADM-001 = This page is for operators of this gateway
    .what = You are signed in, and nothing makes you an operator: none of your groups at the identity provider does, and you did not come by a link.
    .fix = Ask an operator to add one of your groups, or to make a link for you. If you were added just now, sign out and in again.
