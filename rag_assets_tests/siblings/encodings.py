"""Texts and tables in the encodings of one country, short and with broken bytes; and what delimits a table."""

from collections.abc import Iterator

from rag_assets_tests.siblings.sibling import Sibling, sibling

JAPANESE = "ご注文の商品は水曜日に発送されました。荷物の内容をご確認のうえ、受領のご連絡をお願いいたします。"
KOREAN = "주문하신 상품은 수요일에 발송되었습니다. 내용물을 확인하시고 수령 여부를 알려 주시기 바랍니다."
TAIWANESE = "您訂購的商品已於星期三寄出。請檢查包裹內容，並確認收到。如有問題請聯絡客服部門。"
CHINESE = "您订购的商品已于星期三发出。请检查包裹的内容，并确认收货。如有问题请联系客服部门。"


def _table(head: str, names: str, *, delimiter: str = ",") -> str:
    rows = [delimiter.join((name, str(7 * at % 23), f"{at}.5")) for at, name in enumerate(names.split())]
    return "\n".join((head.replace(",", delimiter), *rows)) + "\n"


def east_asian_names() -> Iterator[Sibling]:
    """Lists in which there is hardly a character of prose."""
    cities = _table("縣市,數量,單價", "臺北市 新北市 桃園市 臺中市 臺南市 高雄市 基隆市 新竹市 嘉義市 花蓮縣 澎湖縣")
    yield sibling("cities_big5.csv", cities.encode("big5"), rows=[["臺北市", "0"], ["澎湖縣", "10.5"]], spaced=False)
    places = _table("都道府県,数,単価", "北海道 青森県 岩手県 宮城県 秋田県 山形県 福島県 茨城県 栃木県 群馬県 埼玉県")
    yield sibling("places_cp932.csv", places.encode("cp932"), rows=[["北海道", "0"], ["埼玉県", "10.5"]], spaced=False)
    people = _table("氏名,数,単価", "佐藤健 鈴木一郎 高橋美咲 田中太郎 伊藤翼 渡辺誠 山本恵 中村優 小林蓮 加藤陽子")
    yield sibling("people_euc_jp.csv", people.encode("euc_jp"), rows=[["佐藤健", "0"], ["加藤陽子"]], spaced=False)
    names = _table("이름,수량,단가", "김민준 이서연 박지훈 최수빈 정하은 강도윤 조예진 윤시우 장지민 임현우 똠방각하")
    yield sibling("names_cp949.csv", names.encode("cp949"), rows=[["김민준", "0"], ["똠방각하"]], spaced=False)
    stations = _table("역,수,값", "서울역 부산역 대전역 동대구 광주송정 울산 천안아산 오송 수원 용산", delimiter="\t")
    yield sibling("stations_euc_kr.tsv", stations.encode("euc_kr"), rows=[["서울역", "0"], ["용산"]], spaced=False)
    parts = _table("品名,数量,单价", "螺栓 螺母 垫圈 轴承 齿轮 弹簧 阀门 水泵 电机 开关 电缆", delimiter=";")
    yield sibling("parts_gbk.csv", parts.encode("gbk"), rows=[["螺栓", "0"], ["电缆", "10.5"]], spaced=False)
    yield sibling("two_names_gbk.txt", "Contact: 王伟, 李娜\n".encode("gbk"), "王伟", "李娜", spaced=False)
    kana = "ｶﾄｳ ﾖｳｺ\nｻﾄｳ ｹﾝ\nｽｽﾞｷ ｲﾁﾛｳ\nﾀﾅｶ ﾀﾛｳ\nﾜﾀﾅﾍﾞ ﾏｺﾄ\n"
    yield sibling("half_width_cp932.txt", kana.encode("cp932"), "ｽｽﾞｷ", "ﾜﾀﾅﾍﾞ", spaced=False)


def central_european() -> Iterator[Sibling]:
    """Hungarian, Czech and their neighbours, in Windows-1250 and in Latin-2."""
    hungarian = "A küldeményt szerdán adtuk fel. Kérjük, ellenőrizze a dobozt, és erősítse meg az átvételt."
    yield sibling("hungarian_latin2.txt", hungarian.encode("iso8859-2"), "ellenőrizze a dobozt", "erősítse meg")
    towns = _table("Város,Darab,Ár", "Győr Gödöllő Hódmezővásárhely Szűcsi Dunaújváros Fertőd Kőszeg Tüskevár")
    yield sibling("towns_cp1250.csv", towns.encode("cp1250"), rows=[["Győr", "0"], ["Szűcsi"], ["Kőszeg"]])
    czech = "Příliš žluťoučký kůň úpěl ďábelské ódy. Zboží bylo doručeno včera, děkujeme za nákup."
    yield sibling("czech_latin2.txt", czech.encode("iso8859-2"), "žluťoučký kůň", "doručeno včera")
    yield sibling(
        "czech_names_cp1250.csv",
        _table("Jméno,Kusů,Cena", "Dvořák Černý Růžička Kučera Němec Beneš").encode("cp1250"),
        rows=[["Dvořák", "0"], ["Růžička"], ["Němec"]],
    )
    polish = "Zamówienie zostało wysłane w środę. Proszę sprawdzić zawartość paczki i potwierdzić odbiór."
    yield sibling("polish_latin2.txt", polish.encode("iso8859-2"), "zostało wysłane w środę", "potwierdzić odbiór")
    slovak = "Objednávka bola odoslaná v stredu. Skontrolujte, prosím, obsah balíčka a potvrďte ľahkým kliknutím."
    yield sibling("slovak_cp1250.txt", slovak.encode("cp1250"), "obsah balíčka", "potvrďte ľahkým")
    croatian = "Narudžba je poslana u srijedu. Molimo provjerite sadržaj pošiljke i potvrdite da je stigla cijela."
    yield sibling("croatian_cp1250.txt", croatian.encode("cp1250"), "Narudžba je poslana", "sadržaj pošiljke")
    romanian = "Comanda a fost expediată miercuri. Vă rugăm să verificaţi coletul şi să confirmaţi primirea."
    yield sibling("romanian_cp1250.txt", romanian.encode("cp1250"), "expediată miercuri", "verificaţi coletul")


def baltic() -> Iterator[Sibling]:
    """Windows-1257 and ISO 8859-13."""
    latvian = "Pasūtījums nosūtīts trešdien. Lūdzu, pārbaudiet sūtījuma saturu un apstipriniet saņemšanu."
    yield sibling("latvian_cp1257.txt", latvian.encode("cp1257"), "nosūtīts trešdien", "pārbaudiet sūtījuma")
    yield sibling("latvian_13.txt", latvian.encode("iso8859-13"), "nosūtīts trešdien", "apstipriniet saņemšanu")
    lithuanian = "Prašome patikrinti siuntos turinį ir per tris dienas pranešti, ar viskas gauta. Ačiū už pirkinį!"
    yield sibling("lithuanian_13.txt", lithuanian.encode("iso8859-13"), "siuntos turinį", "Ačiū už pirkinį")
    estonian = (
        "Tellimus saadeti välja kolmapäeval. Palun kontrollige paki sisu ja kinnitage kättesaamist. Šašlõkk, žürii."
    )
    yield sibling("estonian_cp1257.txt", estonian.encode("cp1257"), "kättesaamist", "Šašlõkk, žürii")
    towns = _table(
        "Miestas,Kiekis,Kaina", "Šiauliai Panevėžys Mažeikiai Kėdainiai Telšiai Tauragė Ukmergė Plungė Šilutė"
    )
    yield sibling("towns_cp1257.csv", towns.encode("cp1257"), rows=[["Šiauliai", "0"], ["Kėdainiai"], ["Šilutė"]])
    names = _table("Vārds,Skaits,Cena", "Bērziņš Kalniņš Ozoliņš Jansons Liepiņš Krūmiņš Zariņš Pētersons Āboliņš")
    yield sibling("names_cp1257.csv", names.encode("cp1257"), rows=[["Bērziņš", "0"], ["Krūmiņš"], ["Āboliņš"]])


def short_hebrew() -> Iterator[Sibling]:
    """A few words."""
    yield sibling("greeting_cp1255.txt", "שלום עולם\n".encode("cp1255"), "שלום עולם")
    yield sibling("title_8.txt", "דוח שנתי לגינה\n".encode("iso8859-8"), "דוח שנתי לגינה")
    yield sibling("name_cp1255.txt", "Name: יוסף כהן\n".encode("cp1255"), "יוסף כהן")
    yield sibling("line_cp1255.txt", "ההזמנה נשלחה ביום רביעי.\n".encode("cp1255"), "ההזמנה נשלחה ביום רביעי")
    cities = _table("עיר,כמות,מחיר", "ירושלים חיפה אשדוד נתניה רחובות חולון")
    yield sibling("cities_cp1255.csv", cities.encode("cp1255"), rows=[["ירושלים", "0"], ["חולון"]])


def broken_bytes() -> Iterator[Sibling]:
    """East Asian texts that are cut within a character, lost a byte or got one."""
    data = JAPANESE.encode("cp932")
    yield sibling("cut_cp932.txt", data[:-1], "水曜日に発送されました", "ご連絡をお願い", spaced=False)
    data = TAIWANESE.encode("big5")
    yield sibling("stray_big5.txt", data[:28] + b"\xff" + data[28:], "您訂購的商品", "確認收到", spaced=False)
    data = KOREAN.encode("cp949")
    yield sibling("lost_cp949.txt", data[:13] + data[14:], "발송되었습니다", "수령 여부를 알려", spaced=False)
    yield sibling("begun_late_gbk.txt", CHINESE.encode("gbk")[1:], "请检查包裹的内容", "客服部门", spaced=False)
    lines = f"{KOREAN}\nabc\n{KOREAN}\n".encode("cp949")
    yield sibling("begun_late_cp949.txt", lines[1:], "하신 상품은 수요일에 발송되었습니다", spaced=False)
    rows = _table("名稱,數量,單價", "螺絲 螺帽 墊圈 軸承 齒輪 彈簧 閥門 水泵 馬達 開關 電纜").encode("big5")
    yield sibling("begun_late_big5.csv", rows[1:], rows=[["墊圈", "14"], ["電纜", "10.5"]], spaced=False)
    data = JAPANESE.encode("euc_jp")
    yield sibling("stray_euc_jp.txt", data[:20] + b"\x80" + data[20:], "荷物の内容", "ご連絡をお願い", spaced=False)
    page = (
        f"<html><head><meta charset=gb2312><title>x</title></head><body><p>{CHINESE}</p><p>{CHINESE}</p></body></html>"
    )
    data = page.encode("gbk")
    yield sibling("stray_gb2312.html", data[:90] + b"\xff" + data[90:], "请检查包裹的内容", "确认收货", spaced=False)
    rows = _table("店舗,数,単価", "東京本店 大阪支店 名古屋支店 福岡支店 札幌支店 仙台支店 広島支店 京都支店").encode(
        "cp932"
    )
    yield sibling(
        "cut_cp932.csv", rows + "神".encode("cp932")[:1], rows=[["東京本店", "0"], ["京都支店"]], spaced=False
    )


def single_names() -> Iterator[Sibling]:
    """A line of two or three names, or a word, and nothing else."""
    for codec, text in (
        ("cp1250", "Győr, Szűcs Jenő"),
        ("iso8859-2", "Łódź, Wrocław, Kraków"),
        ("cp1253", "Ωμέγα, Θεσσαλονίκη"),
        ("cp1254", "Iğdır Şişli Üsküdar"),
        ("cp1251", "Київ, Львів, Харків"),
        ("cp1257", "Žemaitė, Šatrijos Ragana"),
        ("cp1255", "שרה"),
        ("iso8859-8", "מנחם מנדל, תל אביב"),
        ("cp874", "กรุงเทพ เชียงใหม่"),
        ("cp932", "東京都千代田区"),
        ("cp949", "서울특별시"),
        ("big5", "台北市中正區"),
        ("gbk", "上海市浦东新区"),
        ("euc_jp", "京都府 大阪府 奈良県"),
    ):
        yield sibling(f"{codec}.txt", f"{text}\n".encode(codec), text)


def delimiters() -> Iterator[Sibling]:
    """What delimits is what gives even rows, even where another mark is seen more often."""
    head = "Datum;Betrag;Text\n"
    body = "".join(f"{at:02}.03.2024;{at}.{at}00,50;Miete, Strom, Wasser {at}\n" for at in range(1, 9))
    yield sibling(
        "german_amounts.csv", head + body, rows=[["03.03.2024", "3.300,50", "Miete, Strom, Wasser 3"]], absent=["2024;"]
    )
    body = "".join(f"2024-01-{at:02} 10:{at}0:00|Room {at}, north|{at},5\n" for at in range(1, 6))
    yield sibling("bars.csv", f"when|where|value\n{body}", rows=[["2024-01-03 10:30:00", "Room 3, north", "3,5"]])
    body = "".join(f'"Smith; Jones, {at}","12:{at}0",{at}\n' for at in range(1, 6))
    yield sibling("quoted.csv", f"who,when,count\n{body}", rows=[["Smith; Jones, 3", "12:30", "3"]], absent=['"12'])
    body = "".join(f"Jan {at}, 2024\tUlm, Jena, Gera\t{at}\n" for at in range(1, 7))
    yield sibling("tabs.csv", f"day\ttowns\tcount\n{body}", rows=[["Jan 3, 2024", "Ulm, Jena, Gera", "3"]])
    body = "".join(f'{at};"März {at}, 2024";{at},75;offen{";" if at % 3 == 0 else ""}\n' for at in range(1, 12))
    yield sibling("ragged.csv", f"Nr;Tag;Preis;Stand\n{body}", rows=[["4", "März 4, 2024", "4,75", "offen"]])
    body = "".join(f"2024-01-0{at}T10:00:00;{at}00;run, {at}\n" for at in range(1, 9))
    yield sibling("times.csv", f"when;much;what\n{body}", rows=[["2024-01-03T10:00:00", "300", "run, 3"]])
    people = "이름;도시;값\n김민준;서울;3,5\n이서연;부산;4,25\n박지훈;대구;5,75\n"
    yield sibling("cp949.csv", people.encode("cp949"), rows=[["이서연", "부산", "4,25"]])
    people = "Név;Város;Ár\nKovács Győző;Győr;1 200,50\nTóth Ernő;Pécs;3 400,00\nSzűcs Jenő;Eger;500,25\n"
    yield sibling("cp1250.csv", people.encode("cp1250"), rows=[["Kovács Győző", "Győr", "1 200,50"]])
    body = "".join(f"Lundi, {at} mai;Pain, beurre;{at},20 €\n" for at in range(1, 7))
    yield sibling("unheaded.csv", body, rows=[["Lundi, 3 mai", "Pain, beurre", "3,20 €"]], absent=["mai;Pain"])
