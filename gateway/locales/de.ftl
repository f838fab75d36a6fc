# Alle Texte unserer eigenen Seiten auf Deutsch.

## Zeiten

date = { $day }. { $month ->
    [1] Jan.
    [2] Feb.
    [3] März
    [4] Apr.
    [5] Mai
    [6] Juni
    [7] Juli
    [8] Aug.
    [9] Sept.
    [10] Okt.
    [11] Nov.
   *[12] Dez.
} { $year }
just-now = gerade eben
minutes-ago = { $count ->
    [one] vor 1 Minute
   *[other] vor { $count } Minuten
}
hours-ago = { $count ->
    [one] vor 1 Stunde
   *[other] vor { $count } Stunden
}
days-ago = { $count ->
    [one] vor 1 Tag
   *[other] vor { $count } Tagen
}

## Der Rahmen

flow = Vorgang

## Zustimmung

consent-page = { $client } fragt nach { $server }
consent-ask = Darf diese App { $server } benutzen?
consent-ask-person = { $person }, darf diese App { $server } benutzen?
consent-somebody-else = <strong>Sie haben sich als { $person } angemeldet</strong> und nicht als die Person, die auf dieser Seite vorher genannt war. Noch ist nichts erlaubt.
consent-app = Die App
consent-operator = Von Ihrer Administration hinzugefügt
consent-vouched = Von Ihrer Administration geprüft
consent-verified = Geprüft: herausgegeben von { $host }
consent-document = Gibt an, von { $host } zu sein (die Webadresse ist geprüft, das Unternehmen nicht)
consent-dynamic = Nicht geprüft – die App hat diesen Namen selbst gewählt
consent-at-home = Diese Adresse gehört den Herstellern von { $title }
consent-not-at-home = <strong>Sie nennt sich wie { $title }, aber diese Adresse gehört nicht zu { $title }.</strong> Lehnen Sie ab, wenn Sie nicht wissen, warum.
consent-mixed = <strong>Ihr Name mischt Buchstaben verschiedener Alphabete</strong>, wie es Namen tun, die man verwechseln soll. Lehnen Sie ab, wenn Sie nicht wissen, warum.
consent-goes-to = Die Antwort geht an
consent-device-host = ein Gerät oder Programm ohne Browser
consent-shows = und zwar das, das <strong>{ $code }</strong> anzeigt
consent-nameless = Eine App ohne Namen
consent-before-all = Das haben Sie am { $day } erlaubt.
consent-before-part = Einen Teil davon haben Sie am { $day } erlaubt. Jetzt fragt sie nach mehr: was <strong>neu</strong> ist, ist hervorgehoben.
consent-before-changed = <strong>Die App beschreibt sich anders als am { $day }</strong>, als Sie sie zuletzt erlaubt haben. Deshalb werden Sie noch einmal gefragt.
consent-before-elsewhere = <strong>Die Antwort geht woandershin als bisher.</strong> Als Sie diese App zuletzt erlaubt haben, am { $day }, ging sie an <strong>{ $before }</strong>. Jetzt geht sie an <strong>{ $now }</strong>.
consent-may = Sie wird können
consent-new = neu
consent-stays = Verbunden bleiben, wenn Sie nicht da sind
consent-may-not = Sie wird nicht können
consent-as = Als <strong>{ $person }</strong>, was <strong>{ $provider }</strong> als Nächstes bestätigt. Sind Sie das nicht? { $link }, und beginnen Sie in der App von vorn.
consent-sign-out = Abmelden
consent-next = Als Nächstes melden Sie sich bei <strong>{ $provider }</strong> an. Zugriff bekommt die App auf das Konto, mit dem Sie sich dort anmelden.
consent-where = Als Nächstes melden Sie sich an, und Zugriff bekommt die App auf dieses Konto. Wo haben Sie Ihres?
consent-this-computer = <strong>Die Antwort geht an ein Programm auf diesem Computer.</strong> Jedes Programm hier könnte diese Adresse und diesen Namen benutzen. Machen Sie nur weiter, wenn Sie diese App gerade selbst gestartet haben.
consent-scheme = <strong>Die Antwort geht an eine App auf diesem Computer, die diese Art von Adresse für sich beansprucht.</strong> Jede App könnte das getan haben. Machen Sie nur weiter, wenn Sie diese App gerade selbst gestartet haben.
consent-device = <strong>Die Antwort geht an ein anderes Gerät oder Programm.</strong> Erlauben Sie es nur, wenn Sie es vor sich haben und es den Code oben anzeigt. Hat Ihnen jemand den Code oder einen Link geschickt, lehnen Sie ab.
deny = Ablehnen
allow = Erlauben
consent-back = Sie können das jederzeit unter { $link } zurücknehmen. Diese Seite gilt 10 Minuten.

## Unterwegs

onward-page = Weiter zu { $host }
onward-provider = Anmelden bei { $host }
onward-app = Zurück zur App
onward-taken = Es geht weiter zu <strong>{ $host }</strong>.
go-on = Weiter

## Geräte

device-connect = Ein Gerät verbinden
device-type = Geben Sie den Code ein, den das Gerät oder Programm anzeigt.
device-code = Code
device-continue = Weiter
device-careful = <strong>Machen Sie nur weiter, wenn Sie das selbst begonnen haben,</strong> gerade eben, auf einem Gerät oder Programm, das Sie vor sich haben und das genau diesen Code anzeigt. Niemand vom Support wird Sie je nach einem Code fragen.
device-too-many = Von hier wurden zu viele Codes versucht. Warten Sie ein paar Minuten.
device-none = Mit diesem Code wartet kein Gerät. Sehen Sie noch einmal nach, oder beginnen Sie auf dem Gerät von vorn.
device-not-admitted = Das Programm hinter diesem Code ist hier nicht mehr zugelassen.
device-connected-page = Verbunden
device-not-connected-page = Nicht verbunden
device-connected = Ihr Gerät ist verbunden
device-connected-more = Sie können diese Seite schließen und dorthin zurückkehren. Es geht dort in wenigen Sekunden von selbst weiter.
device-not-connected = Ihr Gerät wurde nicht verbunden
device-not-connected-more = Es weiß Bescheid. Sie können diese Seite schließen.

## Meine Apps und die eigene Sitzung

apps = Meine Apps
apps-title = Apps, die für Sie handeln können
signed-in-as = Angemeldet als <strong>{ $person }</strong>
sign-out = Abmelden
apps-stopped = <strong>Beendet: { $names }.</strong> Der Zugriff wird ab jetzt verweigert. Wird die App wieder benutzt, müssen Sie sich anmelden und sie neu erlauben.
apps-allowed-again = <strong>{ $name } darf wieder für Sie handeln</strong>, ab der nächsten Anfrage.
apps-none = Hier kann keine App für Sie handeln. Wenn Sie eine erlauben, steht sie auf dieser Seite, und Sie können sie jederzeit beenden.
apps-is-stopped = Beendet
apps-used = Zuletzt benutzt { $ago }
apps-calls = { $count ->
    [one] 1 Aufruf in dieser Woche
   *[other] { $count } Aufrufe in dieser Woche
}
apps-recent = Letzte Aufrufe
apps-recent-more = Es kann mehr Aufrufe geben, als hier gezeigt und gezählt sind: nur die neuesten von allen, die dieses Gateway weitergab, wurden durchgesehen. Ihre Administration kann jeden sehen.
call-ok = erledigt
call-denied = nicht durchgelassen
call-failed = fehlgeschlagen
apps-not-connected = Erlaubt, gerade nicht verbunden
apps-since = seit { $day }
apps-allow-again = Wieder erlauben
apps-stop = Zugriff beenden
apps-everything = Alles auf einmal
apps-everything-more = { $count ->
    [one] Beendet die eine App oben. Wird sie wieder benutzt, müssen Sie sich anmelden.
   *[other] Beendet alle { $count } Apps oben auf einmal. Wird eine wieder benutzt, müssen Sie sich anmelden.
}
apps-stop-all = Alles beenden
apps-not-you = Etwas davon waren nicht Sie? Beenden Sie es, und sagen Sie Ihrer Administration, welche App es war und wann.
sign-in = Anmelden
sign-in-at = Anmelden bei { $provider }
sign-in-apps = Melden Sie sich an, um zu sehen, welche Apps Sie erlaubt haben, und um sie zu beenden.
sign-in-operators = Für Betreiber dieses Gateways
sign-in-operators-more = Melden Sie sich an, um weiterzukommen. Was Sie sehen und tun dürfen, ergibt sich aus Ihren Gruppen beim Identitätsanbieter.
signed-in = Angemeldet
signed-in-title = Sie sind angemeldet
connections = Meine Konten
connections-title = Konten, die Server für Sie benutzen
connections-more = Manche Server handeln bei einem anderen Dienst in Ihrem Namen. Verbinden Sie Ihr Konto dort; ruft dann eine Ihrer Apps so einen Server auf, bekommt der Server Zugriff auf dieses Konto. Die Apps selbst bekommen ihn nicht.
connections-since = Verbunden mit <strong>{ $host }</strong> seit { $day }
connections-none = Nicht verbunden. Sie melden sich bei <strong>{ $host }</strong> an und erlauben es dort.
connections-broken = <strong>{ $host }</strong> nimmt das Konto nicht mehr an: es wurde dort zurückgenommen oder ist abgelaufen. Verbinden Sie es neu.
connections-nothing = Hier ist nichts zu verbinden und nichts zu bestätigen. Hat ein Werkzeug Sie hergeschickt, versuchen Sie es in der App noch einmal.
connections-confirm-what = <strong>{ $provider }</strong> möchte, dass Sie zustimmen oder sich weiter ausweisen, bevor dieser Server für Sie handeln darf.
connections-confirm = Zustimmen
connections-connect = Verbinden
connections-anew = Ein anderes verbinden
connections-disconnect = Trennen
sign-out-ask = Von diesem Gateway abmelden?
sign-out-more = Sie sind angemeldet als <strong>{ $person }</strong>. Die Apps, die Sie erlaubt haben, laufen weiter: { $link }, wenn sie das nicht sollen.
sign-out-stop = beenden Sie sie hier
not-signed-in = Sie sind hier nicht angemeldet
not-signed-in-more = Ihre Anmeldung beim Identitätsanbieter bleibt davon unberührt: Melden Sie sich auf einem Computer, den auch andere benutzen, dort ebenfalls ab.
operator-acts = Sie betreiben dieses Gateway
operator-looks = Sie dürfen dieses Gateway ansehen
operator-open = Konsole öffnen
to-console = Es geht weiter als <strong>{ $person }</strong> zur Konsole unter <strong>{ $console }</strong>. Haben Sie sie nicht gerade selbst geöffnet, schließen Sie diese Seite.
operator-where = Sie ist unter { $address } zu finden. Erreicht Ihr Browser das nicht, öffnen Sie sie im Netz oder auf dem Computer des Gateways, oder setzen Sie { $setting }.

## Der Verlauf einer Anmeldung

flow-page = Vorgang { $code }
flow-again = Noch einmal nachsehen
flow-step = Schritt { $number }, { $stage }: { $title }
flow-happened = Was geschah
flow-said = Wortlaut
flow-usually = Meist: { $means }. Was hilft: { $helps }.
flow-cause = Ursache
flow-check = Woran man es sieht
flow-fix = Abhilfe
flow-who = Wer das kann
flow-not = Nicht die Ursache
flow-drawing = Zeichnung; die Liste darunter sagt dasselbe
flow-between = { $count ->
    [one] Ein Schritt dazwischen
   *[other] { $count } Schritte dazwischen
}
flow-calls = Aufrufe seiner Werkzeuge, in der Konsole
flow-text = Text
flow-test = Um diese Anmeldung als Test zu versuchen, mit demselben Server und denselben Rechten:
flow-copy-link = Link kopieren
flow-copy-report = Für eine Fehlermeldung kopieren
flow-copied = Kopiert
flow-take = Zum Mitnehmen:
flow-succeeded = Gelungen.
flow-went-on = Gelungen; was die App zuletzt wollte, wurde verweigert.
flow-failed = Gescheitert bei Schritt { $number }.
flow-waits-person = Wartet seit { $seconds } s auf die Entscheidung auf der Zustimmungsseite.
flow-waits-back = Wartet seit { $seconds } s auf die Rückkehr von { $host }.
flow-waits-back-long = Wartet seit { $seconds } s auf die Rückkehr von { $host }. Wird dort ein Fehler angezeigt, ist entweder unsere Redirect-URI nicht eingetragen, oder die Person darf die Anwendung nicht benutzen, oder eine Richtlinie verhindert die Anmeldung. Auf jener Seite steht eine Kennung der Anfrage; fragen Sie danach.
flow-waits-provider = Wartet seit { $seconds } s auf den Identitätsanbieter.
stage-request = Anfrage
stage-consent = Zustimmung
stage-sign-in = Anmeldung
stage-way-back = Rückweg
stage-identity = Identität
stage-code-for-tokens = Code gegen Token
stage-renewal = Erneuerung
stage-use = Nutzung
ruled-out-app = Kennung und Redirect-URI der App: sie waren in Ordnung
ruled-out-consent = die Zustimmung: sie wurde gegeben, im selben Browser
ruled-out-redirect = unsere Redirect-URI beim Identitätsanbieter: der Browser kam dorthin zurück
ruled-out-sign-in = die Anmeldung der Person: der Identitätsanbieter hat einen Code geschickt
who-operator = wer dieses Gateway betreibt
who-person = Sie
who-app = wer die App herstellt
who-provider = wer den Identitätsanbieter verwaltet

step-probably-challenged = Wahrscheinlich: die App rief den Server ohne Token auf und erfuhr, wo sie sich anmelden kann
step-probably-resource = Wahrscheinlich: die App las, was der Server braucht
step-probably-server = Wahrscheinlich: die App las, welche Adressen dieses Gateway hat
step-registered = Die App hat sich selbst registriert
step-asked = „{ $client }“ ({ $known }) fragte nach { $server } ({ $scopes }); die Antwort ginge an { $host }
step-consent-shown = Die Zustimmungsseite wurde gezeigt
step-remembered = Die Zustimmungsseite entfiel: dasselbe war schon erlaubt
step-allowed = Die Person hat es erlaubt
step-denied = Die Person hat abgelehnt, und die App weiß es
step-sent = Der Browser wurde zur Anmeldung zu { $host } geschickt
step-came-back = Der Browser kam vom Identitätsanbieter zurück
step-provider-refused = Der Identitätsanbieter lehnte ab: { $error }
step-provider-refused-said = Der Identitätsanbieter lehnte ab: { $error }. Wortlaut: „{ $said }“
step-provider-silent = Der Identitätsanbieter antwortete nicht
step-provider-failed = Der Token-Endpunkt des Identitätsanbieters antwortete { $status } { $error }
step-provider-failed-said = Der Token-Endpunkt des Identitätsanbieters antwortete { $status } { $error }. Wortlaut: „{ $said }“
step-identity-refused = Die Antwort des Identitätsanbieters wurde verworfen: { $why }
step-signed-in = { $person } hat sich angemeldet
step-code-sent = Die App bekam ihren Code
step-tokens-issued = Die App hat ihren Code gegen Zugriff getauscht
step-used = Die App hat ihren Zugriff zum ersten Mal benutzt
step-tools-listed = Die App hat den Server gefragt, welche Werkzeuge es gibt
step-refreshed = Die App hat ihren Zugriff erneuert
step-revoked = Der Zugriff wurde beendet
step-refused = Verweigert ({ $code }): { $why }

## Anmeldungen

flows = Anmeldungen
flows-causes = Seit gestern gescheitert
flows-app = App
flows-person = Person
flows-error = Fehler
flows-failed-only = nur gescheiterte
flows-show = Anzeigen
flows-none = Keine Anmeldung passt dazu.
flows-when = Wann
flows-flow = Vorgang
flows-server = Server
flows-stands = Stand
flows-failed = gescheitert
flows-ok = gelungen
flows-declined = abgelehnt
flows-open = offen
flows-older = Ältere

## Server

landing = MCP-Server hier. Geben Sie Ihrer App eine dieser Adressen; den Weg zur Anmeldung findet sie selbst.
errors = Fehler und was zu tun ist
errors-page = Fehler
errors-all = Alle Fehler
errors-example = Beispiel
connect-page = { $server } verbinden
connect-more = Geben Sie Ihrer App diese Adresse. Den Weg zur Anmeldung findet sie selbst, und sie fragt Sie, bevor sie etwas darf.
connect-may = Worum eine App bitten kann
connect-add = Zu { $app } hinzufügen
connect-all = Alle Server
way-vscode = Folgen Sie dem Link, oder schreiben Sie dies in .vscode/mcp.json und starten Sie den Server dort.
way-claude = Settings, Connectors, Add custom connector: fügen Sie die Adresse ein.
way-claude-code = Führen Sie dies aus, und darin /mcp, um sich anzumelden.
way-cursor = Folgen Sie dem Link, oder schreiben Sie dies in ~/.cursor/mcp.json.
way-codex = Führen Sie diese beiden Zeilen aus.
way-gemini = Führen Sie dies aus, und darin /mcp auth, um sich anzumelden.
way-inspector = Führen Sie dies aus, und drücken Sie Connect.
way-terminal = Anmelden, die Werkzeuge ansehen, eines aufrufen.

## Was verweigert wird

refused-do = Was zu tun ist
refused-back = Zurück zu { $host }
refused-tell = nennen Sie Ihrer Administration die Kennung <strong>{ $flow }</strong>

V-AUT-001 = Dieser Link ist nicht brauchbar
    .what = Kurz gesagt: { $why }.
    .fix = Beginnen Sie in der App von vorn. Hilft das nicht, entfernen Sie den Server aus der App und fügen Sie ihn neu hinzu, damit sie sich neu registriert.
V-AUT-003 = Diese Anfrage ist nicht brauchbar
    .what = Die Anfrage der App ist nicht brauchbar: { $why }.
    .fix = Das müssen die Hersteller der App beheben. Sie können zu ihr zurückkehren; sie erfährt es dann.
V-AUT-004 = Dieser Link ist nicht lesbar
    .what = Seine Parameter sind nicht richtig codiert.
    .fix = Beginnen Sie in der App von vorn.
V-AUT-005 = Dieser Link gilt nicht mehr
    .what = Die App hat diese Anmeldung vor zu langer Zeit oder anderswo vorbereitet.
    .fix = Beginnen Sie in der App von vorn.
V-CLI-001 = Diese App ist hier nicht bekannt
    .what = Die Kennung der App stammt nicht von diesem Gateway.
    .fix = { $again } Hilft das nicht, bitten Sie Ihre Administration, die App zuzulassen.
V-CLI-002 = Diese App ist hier nicht bekannt
    .what = Dieses Gateway lässt diese App nicht zu.
    .fix = { $again } Hilft das nicht, bitten Sie Ihre Administration, die App zuzulassen.
V-CLI-003 = Diese App ist hier nicht bekannt
    .what = Die Webadresse, die die App beschreibt, war nicht brauchbar.
    .fix = { $again } Hilft das nicht, bitten Sie Ihre Administration, die App zuzulassen.
V-CLI-005 = Diese App ist hier gesperrt
    .what = Die Administration dieses Gateways hat diese App gesperrt.
    .fix = Fragen Sie Ihre Administration, wenn Sie sie brauchen. Sie sieht den Grund und kann sie wieder zulassen.
start-again = Entfernen Sie den Server aus der App und fügen Sie ihn neu hinzu, damit sie sich neu registriert.
V-CLI-004 = Diese App sieht aus wie eine andere
    .what = Sie nennt sich wie eine bekannte App, aber an einer Adresse, die nicht deren ist, oder sie schreibt ihren Namen mit Buchstaben, die man leicht verwechselt.
    .fix = Haben Sie das nicht erwartet, schließen Sie die Seite. Ist es eine App Ihres Unternehmens, bitten Sie Ihre Administration, sie hinzuzufügen.
V-CON-001 = Diese Seite gehört nicht zu diesem Browser
    .what = Die Entscheidung kam nicht von der Seite, die diesem Browser gezeigt wurde, oder Cookies sind ausgeschaltet.
    .fix = Beginnen Sie in der App von vorn, erlauben Sie Cookies für diese Adresse, und entscheiden Sie im selben Fenster.
V-CON-002 = Dieses Formular ist nicht lesbar
    .what = Es ist nicht das Formular, das gezeigt wurde.
    .fix = Beginnen Sie in der App von vorn.
V-CON-003 = Diese Seite gilt nicht mehr
    .what = Sie war länger als zehn Minuten offen, oder die App ist nicht mehr zugelassen.
    .fix = Beginnen Sie in der App von vorn.
V-CON-004 = Diese Seite wurde schon benutzt
    .what = Auf ihr wurde bereits entschieden, vielleicht in einem anderen Tab.
    .fix = Ist die App noch nicht verbunden, beginnen Sie in der App von vorn.
V-CON-005 = Die Entscheidung kam nicht von der Seite dieses Gateways
    .what = Eine andere Website hat sie geschickt, oder etwas zwischen diesem Browser und dem Gateway entfernt, woher sie kam. Es wurde nichts erlaubt.
    .fix = Beginnen Sie in der App von vorn. Haben Sie nichts gedrückt, schließen Sie die Seite.
V-DEV-001 = Diese Seite gehört nicht zu diesem Browser
    .what = Der Code kam nicht von der Seite, die diesem Browser gezeigt wurde, oder das Gerät hat seine Antwort schon.
    .fix = Öffnen Sie die Adresse, die das Gerät anzeigt, erlauben Sie Cookies für sie, und geben Sie den Code ein.
V-DEV-002 = Hier können keine Geräte verbunden werden
    .what = Dieses Gateway bietet die Anmeldung mit einem Code nicht an.
    .fix = Bitten Sie Ihre Administration, sie einzuschalten: tokens.device = true.
V-FLW-001 = Dieser Verlauf ist nicht für diesen Browser
    .what = Der Verlauf einer Anmeldung wird dem Browser gezeigt, in dem sie begann.
    .fix = Öffnen Sie ihn dort, oder nennen Sie Ihrer Administration die Kennung: im Protokoll stehen dieselben Schritte.
V-IDP-002 = Diese Anmeldung begann nicht in diesem Browser
    .what = Der Link gehört zu einer Anmeldung, die jemand in einem anderen Browser erlaubt hat, oder die vorbei ist. Niemand bekam Zugriff.
    .fix = Wollten Sie eine App verbinden, beginnen Sie in der App von vorn. Hat Ihnen jemand diesen Link geschickt, schließen Sie die Seite und sagen Sie es Ihrer Administration.
V-IDP-003 = Die Antwort kam von einem anderen Identitätsanbieter
    .what = Sie nennt nicht den Anbieter, zu dem diese Anmeldung geschickt wurde.
    .fix = Beginnen Sie in der App von vorn. Geschieht es wieder, nennen Sie Ihrer Administration die Kennung.
V-IDP-004 = Die Anmeldung hat zu lange gedauert
    .what = Zwischen der Erlaubnis und der Rückkehr vergingen mehr als zehn Minuten.
    .fix = Beginnen Sie in der App von vorn.
V-IDP-005 = Diese Adresse ist nicht vollständig
    .what = Der Antwort des Identitätsanbieters fehlen Parameter.
    .fix = Beginnen Sie in der App von vorn.
V-IDP-006 = Diese Anmeldung ist vorbei
    .what = Die Antwort des Identitätsanbieters wurde schon benutzt oder kam zu spät.
    .fix = Ist die App noch nicht verbunden, beginnen Sie in der App von vorn.
V-IDP-023 = Dieses Konto gehört nicht zur Organisation
    .what = Sie haben sich mit einem privaten Konto oder dem einer anderen Organisation angemeldet. Die App hat keinen Zugriff auf { $server } erhalten.
    .fix = Gehen Sie zu Ihrer App zurück, melden Sie sich noch einmal an und wählen Sie Ihr Firmenkonto. War es das, nennen Sie Ihrer Administration die Kennung unten.
V-POL-001 = Sie dürfen { $server } nicht benutzen
    .what = Sie haben sich angemeldet, aber die Regeln dieses Gateways nehmen Sie für { $server } aus. Die App hat keinen Zugriff erhalten.
    .fix = Bitten Sie Ihre Administration, Sie zuzulassen, und nennen Sie die Kennung unten. Vorher hilft ein neuer Versuch nicht.
not-admitted-now = Diese App darf das hier nicht
    .what = Die Administration dieses Gateways hat die App vor oder während Ihrer Anmeldung gesperrt oder beschränkt, was sie verlangen darf. Die App hat keinen Zugriff erhalten.
    .fix = Fragen Sie Ihre Administration, wenn Sie sie brauchen, und nennen Sie die Kennung unten.
V-POL-002 = Sie werden hier nicht eingelassen
    .what = Sie haben sich angemeldet, aber die Administration dieses Gateways lässt Sie nicht ein. Es wurde nichts geändert.
    .fix = Fragen Sie Ihre Administration: sie sieht den Grund und kann Sie wieder zulassen.
V-STO-001 = Das Gateway kann gerade nicht weitermachen
    .what = Sein Speicher antwortete nicht. Es wurde nichts geändert.
    .fix = Warten Sie einen Augenblick, und beginnen Sie in der App von vorn.
V-WEB-001 = Hier ist nichts
    .what = Diese Adresse gehört nicht zu diesem Gateway.
    .fix = Sehen Sie sich die Adresse noch einmal an. Die Startseite des Gateways nennt seine MCP-Server.
no-server = Hier ist nichts
    .what = Diese Adresse gehört nicht zu diesem Gateway.
    .fix = Fragen Sie, wer dieses Gateway betreibt, nach der Adresse des MCP-Servers.
no-error = Diesen Fehler gibt es nicht
    .what = Dieser Code gehört nicht zu diesem Programm.
    .fix = Sehen Sie sich den Code noch einmal an, oder lesen Sie die Liste unter /errors.
V-APP-001 = Dieses Formular gehört nicht zu dieser Sitzung
    .what = Es kam nicht von der Seite, die dieses Gateway für Ihre Sitzung gezeichnet hat: vielleicht haben Sie sich seitdem in einem anderen Tab neu angemeldet. Es wurde nichts geändert.
    .fix = Öffnen Sie Meine Apps in diesem Browser noch einmal, und drücken Sie den Knopf dort. Haben Sie nichts gedrückt, schließen Sie die Seite.
V-APP-002 = Diese App ist nicht unter Ihren Apps
    .what = Sie wurde schon beendet, vielleicht in einem anderen Tab oder von der Administration, oder sie war nie eine der Ihren.
    .fix = Es bleibt nichts zu tun: Eine App, die nicht unter Meine Apps steht, kann nicht für Sie handeln.
V-ADM-001 = Diese Seite ist für die Betreiber dieses Gateways
    .what = Sie sind angemeldet, aber nichts macht Sie zum Betreiber: keine Ihrer Gruppen beim Identitätsanbieter, und Sie kamen nicht mit einem Link.
    .fix = Bitten Sie jemanden, der es betreibt, eine Ihrer Gruppen einzutragen oder Ihnen einen Link zu machen. Wurden Sie gerade erst eingetragen, melden Sie sich ab und wieder an.
